package cli

import (
	"context"

	"stile/wire"
)

// DevicesCmd is `stile devices`.
type DevicesCmd struct {
	List DevicesListCmd `cmd:"" default:"withargs" help:"List the devices of the account; the default."`
	Rm   DevicesRmCmd   `cmd:"" help:"Sign a device out and end its keys."`
}

// DevicesListCmd is `stile devices list`, and `stile devices`.
type DevicesListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*DevicesListCmd) Help() string {
	return `Example:

  $ stile devices`
}

// Run lists the devices.
func (c *DevicesListCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	devices, err := a.Devices(ctx)
	if err != nil {
		return a.remedy(err)
	}
	if c.JSON {
		return t.printJSON(devices)
	}
	t.printDevices(devices.Data)
	t.printf("\n%d of %d slots are taken.\n", devices.Meta.Used, devices.Meta.Limit)
	return nil
}

// DevicesRmCmd is `stile devices rm`.
type DevicesRmCmd struct {
	ID int64 `arg:"" help:"Number of the device, as stile devices shows it."`
}

// Help is shown by --help.
func (*DevicesRmCmd) Help() string {
	return `What runs through the keys of that device ends at once.

Example:

  $ stile devices rm 6`
}

// Run removes the device.
func (c *DevicesRmCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	if err := a.RemoveDevice(ctx, c.ID); err != nil {
		return a.remedy(err)
	}
	t.printf("Device %d is signed out and its keys are dead.\n", c.ID)
	return nil
}

// printDevices writes a table of devices.
func (t *Terminal) printDevices(devices []wire.Device) {
	rows := make([][]string, 0, len(devices))
	for _, d := range devices {
		seen, note := "never", ""
		if d.LastSeenAt != nil {
			seen = d.LastSeenAt.UTC().Format("2006-01-02") // a day, whose midnight is UTC's
		}
		if d.Current {
			note = "this device"
		}
		rows = append(rows, []string{id(d.ID), d.Name, d.Platform, d.CreatedAt.Local().Format("2006-01-02"), seen, note})
	}
	t.printTable([]string{"ID", "NAME", "PLATFORM", "SINCE", "LAST SEEN", ""}, rows)
}
