package api

import (
	"context"

	"stile/vpn"
	"stile/wire"
)

// devices returns the signed-in devices of the account.
func (a *API) devices(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.DevicesResponse, error) {
	o, err := a.service.Overview(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.DevicesResponse{
		Data: devicesOf(o.Devices, actor.Device.ID), Meta: wire.DeviceCount{Used: len(o.Devices), Limit: o.DeviceLimit},
	}, nil
}

// renameInput is the input of PATCH /api/devices/{id}.
type renameInput struct {
	id   int64
	name string
}

func (r *renameInput) read(in *input) { r.id, r.name = in.x.pathID(), in.text("name", true) }

// renameDevice changes the shown name of a device and returns the device.
func (a *API) renameDevice(ctx context.Context, actor *vpn.Actor, in renameInput) (*wire.Device, error) {
	if err := a.service.RenameDevice(ctx, actor, in.id, in.name); err != nil {
		return nil, err
	}
	devices, err := a.service.Devices(ctx, actor)
	if err != nil {
		return nil, err
	}
	for i := range devices {
		if devices[i].ID == in.id {
			device := deviceOf(&devices[i], actor.Device.ID)
			return &device, nil
		}
	}
	return nil, vpn.Refusal(vpn.CodeDeviceNotFound) // signed out in between
}

// removeInput is the input of DELETE /api/devices/{id}.
type removeInput struct {
	id      int64
	message string
}

func (r *removeInput) read(in *input) {
	r.id, r.message = in.x.pathID(), in.x.api.texts.In(in.x.language(), "done.device_removed")
}

// removeDevice signs a device out and ends its keys.
func (a *API) removeDevice(ctx context.Context, actor *vpn.Actor, in removeInput) (wire.MessageResponse, error) {
	return wire.MessageResponse{Message: in.message}, a.service.RemoveDevice(ctx, actor, in.id)
}

// devicesOf is a list of devices as the API shows it, one of them marked as the one that asks.
func devicesOf(devices []vpn.Device, currentID int64) []wire.Device {
	out := make([]wire.Device, len(devices))
	for i := range devices {
		out[i] = deviceOf(&devices[i], currentID)
	}
	return out
}

func deviceOf(d *vpn.Device, currentID int64) wire.Device {
	return wire.Device{
		ID: d.ID, Name: d.Name, Platform: string(d.Platform), Current: d.ID == currentID, CreatedAt: wire.Seconds(d.CreatedAt),
		LastSeenAt: wire.SecondsOrNull(d.LastSeenDay),
	}
}

func currentDevice(d *vpn.Device) *wire.CurrentDevice {
	if d == nil {
		return nil
	}
	return &wire.CurrentDevice{ID: d.ID, Name: d.Name, Current: true}
}
