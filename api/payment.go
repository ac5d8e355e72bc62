package api

import (
	"context"
	"errors"

	"stile/internal/locale"
	"stile/vpn"
	"stile/wire"
)

// paymentInput is the input of POST /api/payments.
type paymentInput struct{ vpn.NewPayment }

func (p *paymentInput) read(in *input) {
	p.ID = in.text("payment_id", true)
	p.Email = in.email("email")
	p.Plan = in.text("plan", true)
	p.Periods = int(in.integer("periods", false))
	p.Amount = in.integer("amount", false)
	p.Currency = in.text("currency", false)
}

// payment takes a payment that somebody else tells of, who proves by a signature that it may.
func (a *API) payment(x *exchange) error {
	body, err := x.readBody()
	if err != nil {
		return err
	}
	if len(a.config.PaymentSecret) == 0 {
		return errNoRoute
	}
	switch err := wire.VerifySignature(x.r.Header.Get(wire.SignatureHeader), a.config.PaymentSecret, body, a.service.Now()); {
	case errors.Is(err, wire.ErrSignatureOld):
		return vpn.Refusal(codeSignatureExpired)
	case err != nil:
		return vpn.Refusal(codeSignatureInvalid)
	}
	in := &input{x: x}
	if in.values, err = bodyValues(x.r.Header.Get("Content-Type"), body); err != nil {
		return err
	}
	var req paymentInput
	if req.read(in); len(in.faults) > 0 {
		return in.faults
	}
	taken, err := a.service.TakePayment(x.r.Context(), req.NewPayment)
	if err != nil {
		return err
	}
	return x.sendJSON(200, wire.PaymentResponse{
		PaymentID: taken.Payment.ID, Applied: taken.IsApplied, UserID: taken.Payment.UserID, Plan: req.Plan,
		Periods: taken.Payment.Periods, ExpiresAt: wire.SecondsOrNull(taken.Subscription.ExpiresAt),
	})
}

// voucherInput is the input of POST /api/vouchers/redeem.
type voucherInput struct {
	code string
	lang locale.Lang
}

func (v *voucherInput) read(in *input) {
	v.code, v.lang = in.text("code", true), in.x.language()
}

// redeemVoucher gives the user what a code is for.
func (a *API) redeemVoucher(ctx context.Context, actor *vpn.Actor, in voucherInput) (*wire.SubscriptionResponse, error) {
	if _, err := a.service.RedeemVoucher(ctx, actor, in.code); err != nil {
		return nil, err
	}
	return a.subscription(ctx, actor, asked{lang: in.lang})
}
