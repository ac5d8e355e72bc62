package store

import (
	"context"
	"time"

	"stile/vpn"
)

var addressed = lookup{`
	SELECT id, user_id, client_id, name, platform, last_seen_day, created_at,
		CASE WHEN address_at = 0 THEN created_at ELSE address_at END
	FROM device
	WHERE id IN (`, "?", ", ", ")"}

// Addressed implements vpn.DeviceStore.
func (s *Store) Addressed(_ context.Context, deviceID int64) (vpn.Device, vpn.Address, error) {
	var d vpn.Device
	var since time.Time
	err := s.lookRow(&addressed, func(row scanner) error {
		return row.Scan(&d.ID, &d.UserID, &d.ClientID, &d.Name, &d.Platform, instant{&d.LastSeenDay}, instant{&d.CreatedAt}, instant{&since})
	}, deviceID)
	if err != nil {
		return vpn.Device{}, vpn.Address{}, err
	}
	return d, vpn.AddressOf(s.doors.secret, d.ID, since), nil
}

// RotateAddress implements vpn.DeviceStore. The instant only rises: two rotations within a millisecond are two addresses.
func (s *Store) RotateAddress(ctx context.Context, userID, deviceID int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "rotate address", func(t *tx) error {
		if err := t.lockUser(userID); err != nil { // keeps keys from being issued
			return err
		}
		if err := t.change(`
			UPDATE device
			SET address_at = CASE
				WHEN address_at >= $3 THEN address_at + 1
				WHEN created_at >= $3 THEN created_at + 1
				ELSE $3
			END
			WHERE id = $1
				AND user_id = $2`, deviceID, userID, millis(t.now)); err != nil {
			return err
		}
		if changed, err = t.removeDeviceKeys([]int64{deviceID}); err != nil {
			return err
		}
		return t.audit(a, deviceID)
	})
	return changed, err
}
