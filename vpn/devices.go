package vpn

import (
	"context"
	"errors"
	"strconv"
)

// device resolves how a client names a device. It is nil for an API token that names none. Refusals:
// CodeDeviceNotFound (also for somebody else's device) and CodeDeviceMismatch (the user's, but not this token's).
func (s *Service) device(ctx context.Context, a *Actor, ref DeviceRef) (*Device, error) {
	if ref.own() || a.Token.IsImported {
		if a.Device.ID == 0 {
			return nil, nil //nolint:nilnil // no device is an answer here
		}
		return &a.Device, nil
	}
	id, err := strconv.ParseInt(string(ref), 10, 64)
	isID := err == nil
	if a.Device.ID != 0 && ((isID && id == a.Device.ID) || string(ref) == a.Device.ClientID) {
		return &a.Device, nil
	}
	devices, err := s.store.Devices(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	var found *Device
	for i := range devices {
		d := &devices[i]
		if isID && d.ID == id {
			found = d
			break
		}
		if d.ClientID == string(ref) {
			found = d
		}
	}
	switch {
	case found == nil:
		return nil, Refusal(CodeDeviceNotFound)
	case a.Device.ID != 0:
		return nil, Refusal(CodeDeviceMismatch)
	default:
		return found, nil
	}
}

// Devices returns the actor's signed-in devices.
func (s *Service) Devices(ctx context.Context, a *Actor) ([]Device, error) {
	return s.store.Devices(ctx, a.User.ID)
}

// RemoveDevice signs out one of the actor's devices and ends its keys. CodeDeviceNotFound for any other.
func (s *Service) RemoveDevice(ctx context.Context, a *Actor, deviceID int64) error {
	return s.removeDevice(ctx, a, a.User.ID, deviceID)
}

func (s *Service) removeDevice(ctx context.Context, a *Actor, userID, deviceID int64) error {
	nodes, err := s.store.RemoveDevice(ctx, userID, deviceID, a.audit("device.remove", deviceID))
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeDeviceNotFound)
	}
	if err != nil {
		return err
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// RenameDevice changes the shown name of one of the actor's devices. CodeValidationFailed names the field;
// CodeDeviceNotFound for any other device.
func (s *Service) RenameDevice(ctx context.Context, a *Actor, deviceID int64, name string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	err = s.store.RenameDevice(ctx, a.User.ID, deviceID, name, a.audit("device.rename", deviceID))
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeDeviceNotFound)
	}
	if err != nil {
		return err
	}
	s.changed(a.User.ID, nil)
	return nil
}
