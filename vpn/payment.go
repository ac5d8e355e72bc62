package vpn

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Payment is money that somebody else took, for which a subscription is extended once.
type Payment struct {
	// ID is the payer's side's: whatever comes again under the same id is the same payment. 1 to 255 characters.
	ID      string
	UserID  int64
	PlanID  int64
	Periods int
	// Amount, 0 or more, is in the smallest unit of the Currency: three letters as ISO 4217 has them, or "" where nothing was
	// said. Both are kept for the books and decide nothing.
	Amount    int64
	Currency  string
	CreatedAt time.Time
}

// same reports whether two payments are for the same.
func (p *Payment) same(q *Payment) bool {
	return p.UserID == q.UserID && p.PlanID == q.PlanID && p.Periods == q.Periods
}

// NewPayment is a payment as it is told.
type NewPayment struct {
	ID       string
	Email    string
	Plan     string
	Periods  int // 1 if 0
	Amount   int64
	Currency string
}

// PaymentResult is what a payment came to.
type PaymentResult struct {
	Payment      Payment
	Subscription Subscription
	// IsApplied tells that the subscription was extended now, and not by the same payment before.
	IsApplied bool
}

// TakePayment extends a subscription for a payment, once, however often and from how many sides it is told.
// CodeValidationFailed names the field; CodeConflict when the id was used for another user, plan or number of periods.
// Whether the teller may say so is the caller's to check.
func (s *Service) TakePayment(ctx context.Context, in NewPayment) (PaymentResult, error) {
	if in.Periods == 0 {
		in.Periods = 1
	}
	switch in.Currency = strings.ToUpper(in.Currency); {
	case in.Amount < 0: // money that went back is no payment
		return PaymentResult{}, invalid("amount", "in")
	case in.Currency != "" && !isCurrency(in.Currency):
		return PaymentResult{}, invalid("currency", "in")
	}
	plan, err := s.planFor(ctx, in.Plan, in.Periods)
	if err != nil {
		return PaymentResult{}, err
	}
	user, err := s.store.UserByEmail(ctx, NormalEmail(in.Email))
	if errors.Is(err, ErrNotFound) {
		return PaymentResult{}, invalid("email", "exists")
	}
	if err != nil {
		return PaymentResult{}, err
	}
	p := Payment{ID: in.ID, UserID: user.ID, PlanID: plan.ID, Periods: in.Periods, Amount: in.Amount, Currency: in.Currency}
	taken, sub, isNew, err := s.store.TakePayment(ctx, p, s.extension(&plan, in.Periods), Audit{Action: "payment.take", SubjectID: user.ID})
	switch {
	case errors.Is(err, ErrNotFound): // removed meanwhile
		return PaymentResult{}, invalid("email", "exists")
	case err != nil:
		return PaymentResult{}, err
	case !isNew && !p.same(&taken):
		return PaymentResult{}, &Error{Code: CodeConflict, Field: "payment_id", Rule: "unique"}
	case isNew:
		err = s.refreshAndWait(ctx, &Actor{}, user.ID)
	}
	return PaymentResult{Payment: taken, Subscription: sub, IsApplied: isNew}, err
}

// isCurrency reports whether a text has the form of a code of ISO 4217. Which of them are assigned changes too often to be known here.
func isCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// PaymentFilter narrows a list of payments, the newest first.
type PaymentFilter struct {
	// UserID is whose subscription was extended; 0 = anybody's.
	UserID int64
	// Before is the last id of the page before; "" starts.
	Before string
	Limit  int
}

// Payments returns a page of payments.
func (s *Service) Payments(ctx context.Context, a *Actor, f PaymentFilter) ([]Payment, error) {
	if err := a.may(NounPayments, Read); err != nil {
		return nil, err
	}
	return s.store.Payments(ctx, f)
}
