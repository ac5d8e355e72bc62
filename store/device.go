package store

import (
	"context"

	"stile/vpn"
)

// Devices implements vpn.DeviceStore.
func (s *Store) Devices(ctx context.Context, userID int64) ([]vpn.Device, error) {
	rows, err := s.read(ctx).rows(`
		SELECT id, user_id, client_id, name, platform, last_seen_day, created_at
		FROM device
		WHERE user_id = $1
		ORDER BY id`, userID)
	return list(rows, err, func(row scanner) (d vpn.Device, err error) {
		err = row.Scan(&d.ID, &d.UserID, &d.ClientID, &d.Name, &d.Platform, instant{&d.LastSeenDay}, instant{&d.CreatedAt})
		return d, err
	})
}

// AddDevice implements vpn.DeviceStore.
func (s *Store) AddDevice(ctx context.Context, n vpn.NewSession, a vpn.Audit) (id int64, err error) {
	err = s.write(ctx, "add device", func(t *tx) error {
		n.ReplaceDeviceID = 0
		if id, _, err = t.takeSlot(n); err != nil {
			return err
		}
		a.UserID = n.UserID
		return t.audit(a, id)
	})
	return id, err
}

// RemoveDevice implements vpn.DeviceStore.
func (s *Store) RemoveDevice(ctx context.Context, userID, deviceID int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "remove device", func(t *tx) error {
		if changed, err = t.removeDevice(userID, deviceID); err != nil {
			return err
		}
		a.UserID = userID
		return t.audit(a, deviceID)
	})
	return changed, err
}

// removeDevice frees a slot and deletes the device with its tokens; its keys become tombstones.
func (t *tx) removeDevice(userID, deviceID int64) ([]vpn.NodeRev, error) {
	if err := t.holdDevice(userID, deviceID); err != nil {
		return nil, err
	}
	return t.dropDevice(deviceID)
}

// holdDevice frees the slot of a device that is to be dropped. It holds the account, which keeps keys from being issued.
func (t *tx) holdDevice(userID, deviceID int64) error {
	if err := t.change(`
		UPDATE account
		SET devices = devices - 1
		WHERE id = $1`, userID); err != nil {
		return err
	}
	return one(t.row(`
		SELECT id
		FROM device
		WHERE id = $1
			AND user_id = $2
		{{lock}}`, deviceID, userID), &deviceID)
}

// dropDevice deletes a held device.
func (t *tx) dropDevice(deviceID int64) ([]vpn.NodeRev, error) {
	changed, err := t.removeDeviceKeys([]int64{deviceID})
	if err != nil {
		return nil, err
	}
	if _, err := t.exec(`
		DELETE FROM token
		WHERE device_id = $1`, deviceID); err != nil {
		return nil, err
	}
	return changed, t.change(`
		DELETE FROM device
		WHERE id = $1`, deviceID)
}

// RenameDevice implements vpn.DeviceStore.
func (s *Store) RenameDevice(ctx context.Context, userID, deviceID int64, name string, a vpn.Audit) error {
	return s.write(ctx, "rename device", func(t *tx) error {
		if err := t.change(`
			UPDATE device
			SET name = $3
			WHERE id = $1
				AND user_id = $2`, deviceID, userID, name); err != nil {
			return err
		}
		a.UserID = userID
		return t.audit(a, deviceID)
	})
}
