package vpn

import "time"

// UserStatus says whether an account may use the service.
type UserStatus string

// The states of an account. A blocked user can sign in to nothing and gets no key; keys in use stop at once.
const (
	UserActive  UserStatus = "active"
	UserBlocked UserStatus = "blocked"
)

// User is an account.
type User struct {
	ID              int64
	Name            string
	Email           string // lower case, trimmed; unique
	EmailVerifiedAt time.Time
	Status          UserStatus
	Role            Role
	Locale          string // "ru" or "en"
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Credentials are what a sign-in is checked against.
type Credentials struct {
	UserID int64
	Status UserStatus
	// PasswordHash is a PHC string: argon2id, or bcrypt for imported users; "" for an account without a password.
	PasswordHash string
}

// NewUser is an account to be made.
type NewUser struct {
	Name         string
	Email        string
	PasswordHash string
	Role         Role
	Locale       string
	Verified     bool
}

// UserPage is one page of accounts in the order of their ids.
type UserPage struct {
	Users []User
	// Next is the id to pass as After for the following page, 0 when this is the last.
	Next int64
}

// UserFilter narrows a list of users.
type UserFilter struct {
	// Search matches a part of the e-mail or the name; "" matches all.
	Search string
	// After is the last id of the page before; 0 starts.
	After int64
	// Limit is the number of rows, 1 to 1,000.
	Limit int
}
