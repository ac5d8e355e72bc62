package wire

import "time"

// PaymentRequest is what POST /api/payments is told, signed in SignatureHeader.
type PaymentRequest struct {
	PaymentID string `json:"payment_id"`
	Email     string `json:"email"`
	Plan      string `json:"plan"`
	Periods   int    `json:"periods,omitempty"`
	// Amount is in the smallest unit of the currency (ISO 4217).
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}

// PaymentResponse says what a payment came to.
type PaymentResponse struct {
	PaymentID string `json:"payment_id"`
	// Applied is false when the same payment was told before: then nothing changed.
	Applied   bool       `json:"applied"`
	UserID    int64      `json:"user_id"`
	Plan      string     `json:"plan"`
	Periods   int        `json:"periods"`
	ExpiresAt *time.Time `json:"expires_at"`
}
