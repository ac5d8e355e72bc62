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

// UserPage is one page of accounts: in the order of their ids, of the e-mail where that leads, or of the expiry.
type UserPage struct {
	Users []User
	// Next is the id to pass as After for the following page, 0 when this is the last. A page may hold fewer than were
	// asked for, or none, and have a next: a search looks at so many accounts at a time.
	Next int64
}

// UserFilter narrows a list of users.
type UserFilter struct {
	// Search matches a part of the e-mail or the name; "" matches all.
	Search string
	// EmailPrefix is what the e-mail begins with, in lower case; "" = anything.
	EmailPrefix string
	// Status is "" for all.
	Status UserStatus
	// IsStaff leaves ordinary users out.
	IsStaff bool
	// PlanID is of the plan subscribed to; 0 = any or none.
	PlanID int64
	// ExpiresAfter (or at) and ExpiresBefore bound the end of the subscription; zero = no bound. With one, those whose
	// subscription has no end are left out.
	ExpiresAfter  time.Time
	ExpiresBefore time.Time
	// After is the last id of the page before; 0 starts.
	After int64
	// Limit is the number of rows, 1 to 1,000.
	Limit int
}
