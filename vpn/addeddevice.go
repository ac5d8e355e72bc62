package vpn

import (
	"context"
	"errors"
)

// addedDevice begins the client's id of a device that was added on the dashboard. Such a device never signs in: its user
// carries a key to it by hand.
const addedDevice = "dashboard-"

// IsAdded reports that the device was added on the dashboard.
func (d *Device) IsAdded() bool {
	return len(d.ClientID) > len(addedDevice) && d.ClientID[:len(addedDevice)] == addedDevice
}

// AddDevice takes a slot for a device that will never sign in. CodeValidationFailed names the field;
// CodeDeviceLimitReached when no slot is free.
func (s *Service) AddDevice(ctx context.Context, a *Actor, name string, p Platform) (int64, error) {
	name, err := checkName(name)
	if err != nil {
		return 0, err
	}
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return 0, err
	}
	id, err := s.store.AddDevice(ctx, NewSession{
		UserID: a.User.ID, ClientID: addedDevice + newTokenSecret()[:16], Name: name, Platform: p, DeviceLimit: e.DeviceLimit(),
	}, a.audit("device.add", 0))
	if errors.Is(err, ErrDeviceLimit) {
		devices, err := s.store.Devices(ctx, a.User.ID)
		if err != nil {
			return 0, err
		}
		return 0, &Error{Code: CodeDeviceLimitReached, Limit: e.DeviceLimit(), Devices: devices}
	}
	if errors.Is(err, ErrNotFound) {
		return 0, Refusal(CodeUnauthenticated)
	}
	if err != nil {
		return 0, err
	}
	s.changed(a.User.ID, nil)
	return id, nil
}

// HeldKey returns the key that one of the actor's devices has on a server, and makes none. CodeDeviceNotFound,
// CodeServerNotFound, and CodeNotFound when there is no key.
func (s *Service) HeldKey(ctx context.Context, a *Actor, deviceID, serverID int64) (*IssuedKey, error) {
	devices, err := s.store.Devices(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	device := deviceByID(devices, deviceID)
	if device == nil {
		return nil, Refusal(CodeDeviceNotFound)
	}
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	view, err := s.view(ctx, e, Access{Allowed: true})
	if err != nil {
		return nil, err
	}
	server, ok := view.any(serverID)
	if !ok {
		return nil, Refusal(CodeServerNotFound)
	}
	key, err := s.store.DeviceKey(ctx, deviceID, serverID)
	if err != nil {
		return nil, notFound(err)
	}
	return s.issued(key, server, defaultProtocol(device.Platform, &server.Server), e, s.now()), nil
}

// deviceByID returns the device with an id, or nil.
func deviceByID(devices []Device, id int64) *Device {
	for i := range devices {
		if devices[i].ID == id {
			return &devices[i]
		}
	}
	return nil
}
