package vpn

// Role is what a user may do beyond using the service. The zero Role is an ordinary user.
type Role string

// The roles, from the one that may do everything down. An owner is kept under the word that releases without the other
// roles know: to those, nobody else may manage anything.
const (
	RoleOwner   Role = "operator"
	RoleAdmin   Role = "admin"
	RoleSupport Role = "support"
	RoleViewer  Role = "viewer"
)

// String returns the role as people and the API name it; "user" is an ordinary one.
func (r Role) String() string {
	switch r {
	case RoleOwner:
		return "owner"
	case RoleAdmin, RoleSupport, RoleViewer:
		return string(r)
	default:
		return "user"
	}
}

// ParseRole reads what Role.String writes.
func ParseRole(name string) (Role, bool) {
	for _, r := range []Role{RoleOwner, RoleAdmin, RoleSupport, RoleViewer, ""} {
		if r.String() == name {
			return r, true
		}
	}
	return "", false
}

// rank orders the roles: who manages accounts may not touch one of the same or a higher rank, or a password reset would
// be a way up.
func (r Role) rank() int {
	switch r {
	case RoleOwner:
		return 4
	case RoleAdmin:
		return 3
	case RoleSupport:
		return 2
	case RoleViewer:
		return 1
	default:
		return 0
	}
}

// Noun is what a permission is about.
type Noun string

// The nouns.
const (
	NounUsers         Noun = "users"
	NounSubscriptions Noun = "subscriptions"
	NounDevices       Noun = "devices"
	NounPlans         Noun = "plans"
	NounServers       Noun = "servers"
	NounNodes         Noun = "nodes"
	NounVouchers      Noun = "vouchers"
	NounPayments      Noun = "payments"
	NounAudit         Noun = "audit"
	NounSettings      Noun = "settings"
	NounRoles         Noun = "roles"
	NounWebhooks      Noun = "webhooks"
)

// Level is how far a permission goes; each holds those before it.
type Level int

// The levels. Help is what support may do: end sessions, reset a password, and extend a subscription within HelpDays.
const (
	NoAccess Level = iota
	Read
	Help
	Write
)

// permission is one line of the table: how far each role goes with a noun.
type permission struct{ viewer, support, admin, owner Level }

// permissions is the whole table. What is not in it, nobody but the shell may do.
var permissions = map[Noun]permission{
	NounUsers:         {Read, Help, Write, Write},
	NounSubscriptions: {Read, Help, Write, Write},
	NounDevices:       {Read, Write, Write, Write},
	NounPlans:         {Read, Read, Write, Write},
	NounServers:       {Read, Read, Write, Write},
	NounNodes:         {Read, Read, Write, Write},
	NounVouchers:      {Read, Read, Write, Write},
	NounPayments:      {Read, Read, Write, Write},
	NounAudit:         {Read, Read, Read, Write},
	NounSettings:      {Read, Read, Write, Write},
	NounRoles:         {Read, Read, Read, Write},
	NounWebhooks:      {Read, NoAccess, Write, Write},
}

// Level returns how far a role goes with a noun.
func (r Role) Level(n Noun) Level {
	p := permissions[n]
	switch r {
	case RoleOwner:
		return p.owner
	case RoleAdmin:
		return p.admin
	case RoleSupport:
		return p.support
	case RoleViewer:
		return p.viewer
	default:
		return NoAccess
	}
}

// may returns CodeForbidden unless the actor's role, and the scopes of the token that was shown, go that far.
func (a *Actor) may(n Noun, l Level) error {
	switch {
	case a.IsShell:
		return nil
	case a.User.Status != UserActive || a.User.Role.Level(n) < l:
		return Refusal(CodeForbidden)
	case a.Token.ID != 0 && !a.Token.reaches(l):
		return Refusal(CodeForbidden)
	default:
		return nil
	}
}

// mayTouch returns CodeForbidden for an account that the actor may not change: those of the same or a higher rank. Owners
// may change each other.
func (a *Actor) mayTouch(u *User) error {
	if a.IsShell || a.User.Role == RoleOwner || u.Role.rank() < a.User.Role.rank() {
		return nil
	}
	return Refusal(CodeForbidden)
}
