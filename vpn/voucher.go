package vpn

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"
)

// Voucher is a code that gives periods of a plan to whoever redeems it.
type Voucher struct {
	ID      int64
	PlanID  int64
	Periods int
	// Uses is how many accounts may redeem it, each once; Used is how many have.
	Uses, Used int
	Note       string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero = never
}

// NewVouchers are codes to be made, all alike.
type NewVouchers struct {
	Plan      string
	Periods   int
	Uses      int
	Count     int
	Note      string
	ExpiresAt time.Time
}

const (
	maxVouchers    = 10_000 // made at once
	maxVoucherUses = 1_000_000
	// voucherLetters is Crockford's base 32: no letter that is read as another. A code has 16 of them, 80 bits.
	voucherLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	voucherLength  = 16
)

// newVoucherCode returns a random code as it is shown: XXXX-XXXX-XXXX-XXXX.
func newVoucherCode() string {
	raw := make([]byte, voucherLength)
	_, _ = rand.Read(raw) // crypto/rand never fails
	var b strings.Builder
	for i, r := range raw {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(voucherLetters[r%32])
	}
	return b.String()
}

// voucherConfusions are what people type for another letter or write between.
var voucherConfusions = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "")

// hashVoucher returns the stored form of a code, however it was typed.
func hashVoucher(code string) TokenHash {
	return hashToken(voucherConfusions.Replace(strings.ToUpper(strings.TrimSpace(code))))
}

// AddVouchers makes codes and returns them; they are shown once. CodeValidationFailed names the field.
func (s *Service) AddVouchers(ctx context.Context, a *Actor, in NewVouchers) ([]string, error) {
	if err := a.may(NounVouchers, Write); err != nil {
		return nil, err
	}
	switch {
	case in.Count < 1 || in.Count > maxVouchers:
		return nil, invalid("count", "in")
	case in.Uses < 1 || in.Uses > maxVoucherUses:
		return nil, invalid("uses", "in")
	case isLong(in.Note):
		return nil, tooLong("note", maxName)
	case !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.now()):
		return nil, invalid("expires", "in")
	}
	plan, err := s.planFor(ctx, in.Plan, in.Periods)
	if err != nil {
		return nil, err
	}
	codes, hashes := make([]string, in.Count), make([]TokenHash, in.Count)
	for i := range codes {
		codes[i] = newVoucherCode()
		hashes[i] = hashVoucher(codes[i])
	}
	v := Voucher{PlanID: plan.ID, Periods: in.Periods, Uses: in.Uses, Note: in.Note, ExpiresAt: in.ExpiresAt}
	return codes, s.store.AddVouchers(ctx, v, hashes, a.audit("voucher.add", 0))
}

// Vouchers returns vouchers with an id below before (0 = the newest), the newest first, at most limit.
func (s *Service) Vouchers(ctx context.Context, a *Actor, before int64, limit int) ([]Voucher, error) {
	if err := a.may(NounVouchers, Read); err != nil {
		return nil, err
	}
	return s.store.Vouchers(ctx, before, limit)
}

// RemoveVoucher deletes a voucher; what it gave stays given.
func (s *Service) RemoveVoucher(ctx context.Context, a *Actor, id int64) error {
	if err := a.may(NounVouchers, Write); err != nil {
		return err
	}
	return notFound(s.store.RemoveVoucher(ctx, id, a.audit("voucher.remove", id)))
}

// RedeemVoucher gives the actor what a code is for: once, however often it is sent. CodeVoucherInvalid for a code that is
// wrong, used up, expired or already redeemed by this account (indistinguishable); CodeTooManyAttempts for guessing.
func (s *Service) RedeemVoucher(ctx context.Context, a *Actor, code string) (Subscription, error) {
	if err := s.vouchers.admit(a.User.ID); err != nil {
		return Subscription{}, err
	}
	sub, err := s.store.RedeemVoucher(ctx, a.User.ID, hashVoucher(code), s.gift, a.audit("voucher.redeem", 0))
	if errors.Is(err, ErrNotFound) {
		return Subscription{}, Refusal(CodeVoucherInvalid)
	}
	if err != nil {
		return Subscription{}, err
	}
	return sub, s.refreshAndWait(ctx, a, a.User.ID)
}
