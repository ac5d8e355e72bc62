package web

import (
	"stile/vpn"
)

// devicesPage lists the devices of an account.
type devicesPage struct {
	Devices   []vpn.Device
	Limit     int
	Platforms []vpn.Platform
	// Renaming is the device whose new name was refused, 0 = none.
	Renaming int64
	Name     string
	Platform vpn.Platform
	Problem  problem
}

// platforms are the kinds of devices that can be added by hand. Extensions sign in by themselves.
var platforms = []vpn.Platform{vpn.PlatformIOS, vpn.PlatformAndroid, vpn.PlatformWindows, vpn.PlatformMacOS, vpn.PlatformLinux}

// knownPlatform returns the platform of a name, or PlatformUnknown.
func knownPlatform(name string) vpn.Platform {
	for _, p := range platforms {
		if string(p) == name {
			return p
		}
	}
	return vpn.PlatformUnknown
}

func (s *Site) devices(v *visit) error { return s.showDevices(v, 200, devicesPage{}) }

func (s *Site) showDevices(v *visit, status int, p devicesPage) error {
	o, err := s.service.Overview(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	p.Devices, p.Limit, p.Platforms = o.Devices, o.DeviceLimit, platforms
	return v.page(status, "devices", p)
}

// addDevice adds a device by hand and leads to the page that connects it.
func (s *Site) addDevice(v *visit) error {
	form := devicesPage{Name: v.form("name"), Platform: knownPlatform(v.form("platform"))}
	id, err := s.service.AddDevice(v.r.Context(), v.actor, form.Name, form.Platform)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showDevices(v, status, form)
		})
	}
	return v.redirect("/account/connect?done=device_added&device=" + number(id))
}

func (s *Site) renameDevice(v *visit) error {
	form := devicesPage{Renaming: v.pathID("id")}
	name := v.form("name")
	if err := s.service.RenameDevice(v.r.Context(), v.actor, form.Renaming, name); err != nil {
		if vpn.CodeOf(err) != vpn.CodeValidationFailed {
			return err
		}
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showDevices(v, status, form)
		})
	}
	return v.done("/account/devices", "device_renamed")
}

func (s *Site) removeDevice(v *visit) error {
	if err := s.service.RemoveDevice(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/account/devices", "device_removed")
}
