package vpn

import "context"

// Profile is all that is known of a user: an Account with what belongs to it. There is no secret in it.
type Profile struct {
	Account
	// Keys are those of the devices, without seeds.
	Keys []Key
	// Usage is the traffic of the last days, the latest first.
	Usage []DayUsage
	// Payments and Audit are the latest; the audit leaves the keys out that devices asked for.
	Payments []Payment
	Audit    []Audit
}

const (
	profileDays    = 31
	profileEntries = 50
)

// Profile returns all that is known of a user. CodeNotFound when there is no such user. What the actor's role may not see is
// left out.
func (s *Service) Profile(ctx context.Context, a *Actor, userID int64) (*Profile, error) {
	account, err := s.Account(ctx, a, userID)
	if err != nil {
		return nil, err
	}
	p := &Profile{Account: account}
	if p.Usage, err = s.store.UserUsage(ctx, userID, profileDays); err != nil {
		return nil, err
	}
	if a.may(NounDevices, Read) == nil {
		if p.Keys, err = s.store.UserKeys(ctx, userID); err != nil {
			return nil, err
		}
	}
	if a.may(NounPayments, Read) == nil {
		if p.Payments, err = s.store.Payments(ctx, PaymentFilter{UserID: userID, Limit: profileEntries}); err != nil {
			return nil, err
		}
	}
	if a.may(NounAudit, Read) == nil {
		p.Audit, err = s.store.UserAudit(ctx, userID, 0, profileEntries)
	}
	return p, err
}
