package vpn

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Address is the secret part of a device's subscription URL: whoever has it has all keys of the device. It never prints.
type Address struct {
	DeviceID int64
	secret   [addressSize]byte
}

// addressSize is the length in bytes of the secret of an Address.
const addressSize = 16

// AddressOf derives the address that a device has since an instant (to the millisecond) from the secret of the service,
// so that it is kept nowhere. A later instant is another address.
func AddressOf(secret [32]byte, deviceID int64, since time.Time) Address {
	info := binary.BigEndian.AppendUint64([]byte("stile subscription address v1 "), uint64(deviceID))
	info = binary.BigEndian.AppendUint64(info, uint64(since.UnixMilli()))
	raw, err := hkdf.Key(sha256.New, secret[:], nil, string(info), addressSize)
	if err != nil {
		panic("vpn: HKDF-SHA256 of constant parameters: " + err.Error())
	}
	return Address{DeviceID: deviceID, secret: [addressSize]byte(raw)}
}

// Reveal writes the address as URLs hold it: the device's number, a dot, and 22 characters of base64url.
func (a Address) Reveal() string {
	return strconv.FormatInt(a.DeviceID, 10) + "." + base64.RawURLEncoding.EncodeToString(a.secret[:])
}

// ParseAddress reads what Reveal wrote, and nothing else.
func ParseAddress(text string) (a Address, ok bool) {
	number, secret, _ := strings.Cut(text, ".")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || len(secret) != base64.RawURLEncoding.EncodedLen(addressSize) {
		return Address{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(raw) != addressSize {
		return Address{}, false
	}
	a = Address{DeviceID: id, secret: [addressSize]byte(raw)}
	return a, id > 0 && a.Reveal() == text
}

// equal compares in a time that says nothing of where two addresses differ.
func (a Address) equal(b Address) bool {
	return subtle.ConstantTimeCompare(a.secret[:], b.secret[:]) == 1 && a.DeviceID == b.DeviceID
}

// Format prints a placeholder for every verb.
func (a Address) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[address]") }

// LogValue gives slog a placeholder.
func (a Address) LogValue() slog.Value { return slog.StringValue("[address]") }

// ErrAddressIsSecret refuses to write an address as JSON: what shows it calls Reveal.
var ErrAddressIsSecret = errors.New("vpn: an address is written by Reveal only")

// MarshalJSON fails with ErrAddressIsSecret.
func (a Address) MarshalJSON() ([]byte, error) { return nil, ErrAddressIsSecret }

// Address returns the subscription address of one of the actor's devices. CodeDeviceNotFound for any other.
func (s *Service) Address(ctx context.Context, a *Actor, deviceID int64) (Device, Address, error) {
	device, address, err := s.store.Addressed(ctx, deviceID)
	if errors.Is(err, ErrNotFound) || err == nil && device.UserID != a.User.ID {
		return Device{}, Address{}, Refusal(CodeDeviceNotFound)
	}
	return device, address, err
}

// RotateAddress gives one of the actor's devices another subscription address. Whoever had the old one has the keys that
// it gave, so these end too. CodeDeviceNotFound for any other device.
func (s *Service) RotateAddress(ctx context.Context, a *Actor, deviceID int64) error {
	nodes, err := s.store.RotateAddress(ctx, a.User.ID, deviceID, a.audit("device.address", deviceID))
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeDeviceNotFound)
	}
	if err != nil {
		return err
	}
	s.changed(a.User.ID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}
