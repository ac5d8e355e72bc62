package wire

import "time"

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
