package vpn

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// minPassword is the shortest password that can be set, in bytes. There is no other rule (NIST SP 800-63B, 5.1.1.2).
const minPassword = 8

const (
	// maxPeriods is how many periods can be given at once.
	maxPeriods = 1200
	// maxDays is the longest period, and the longest time that can be given at once: beyond 292 years a time.Duration ends.
	maxDays = 36_500
)

// NewAccount is an account to be made by an operator.
type NewAccount struct {
	Email      string
	Name       string
	Password   string
	Locale     string // "ru" (default) or "en"
	IsOperator bool
}

// ValidEmail reports whether an address is one bare e-mail address (RFC 5322 addr-spec).
func ValidEmail(email string) bool {
	a, err := mail.ParseAddress(email)
	return err == nil && a.Address == email && len(email) <= 255
}

// AddUser makes an account. CodeValidationFailed names the field; CodeConflict when the e-mail is taken.
func (s *Service) AddUser(ctx context.Context, a *Actor, in NewAccount) (User, error) {
	if err := a.mayManage(); err != nil {
		return User{}, err
	}
	in.Email = NormalEmail(in.Email)
	switch {
	case !ValidEmail(in.Email):
		return User{}, invalid("email", "email")
	case len(in.Password) < minPassword:
		return User{}, &Error{Code: CodeValidationFailed, Field: "password", Rule: "min", Max: minPassword}
	case in.Locale != "" && in.Locale != "ru" && in.Locale != "en":
		return User{}, invalid("locale", "in")
	}
	hash, err := s.passwords.Hash(ctx, in.Password)
	if err != nil {
		return User{}, err
	}
	u := NewUser{Name: strings.TrimSpace(in.Name), Email: in.Email, PasswordHash: hash, Locale: in.Locale}
	if u.Locale == "" {
		u.Locale = "ru"
	}
	if u.Name == "" {
		u.Name, _, _ = strings.Cut(in.Email, "@")
	}
	if in.IsOperator {
		u.Role = RoleOperator
	}
	user, err := s.store.AddUser(ctx, u, a.audit("user.add", 0))
	if errors.Is(err, ErrTaken) {
		return User{}, &Error{Code: CodeConflict, Field: "email", Rule: "unique"}
	}
	return user, err
}

// Users returns a page of accounts.
func (s *Service) Users(ctx context.Context, a *Actor, f UserFilter) (UserPage, error) {
	if err := a.mayManage(); err != nil {
		return UserPage{}, err
	}
	return s.store.Users(ctx, f)
}

// FindUser returns an account by its e-mail. CodeNotFound when there is none.
func (s *Service) FindUser(ctx context.Context, a *Actor, email string) (User, error) {
	if err := a.mayManage(); err != nil {
		return User{}, err
	}
	u, err := s.store.UserByEmail(ctx, NormalEmail(email))
	return u, notFound(err)
}

// notFound turns ErrNotFound into its refusal.
func notFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeNotFound)
	}
	return err
}

// Account is one user's state as an operator sees it.
type Account struct {
	User        User
	Entitlement Entitlement
	Status      SubscriptionStatus
	Access      Access
	Traffic     Traffic
	Devices     []Device
}

// Account returns one user's state. CodeNotFound when there is no such user.
func (s *Service) Account(ctx context.Context, a *Actor, userID int64) (Account, error) {
	if err := a.mayManage(); err != nil {
		return Account{}, err
	}
	u, err := s.store.User(ctx, userID)
	if err != nil {
		return Account{}, notFound(err)
	}
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return Account{}, err
	}
	devices, err := s.store.Devices(ctx, userID)
	now := s.now()
	return Account{
		User: u, Entitlement: e, Status: e.Status(now), Access: access(&u, &e, now), Traffic: traffic(&e, now), Devices: devices,
	}, err
}

// SetPassword replaces a user's password and signs all devices out.
func (s *Service) SetPassword(ctx context.Context, a *Actor, userID int64, password string) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if len(password) < minPassword {
		return &Error{Code: CodeValidationFailed, Field: "password", Rule: "min", Max: minPassword}
	}
	hash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	nodes, err := s.store.SetPasswordHash(ctx, userID, hash, true, a.audit("user.password", userID))
	if err != nil {
		return notFound(err)
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// SetUserStatus blocks or unblocks an account; keys of a blocked one stop at once and work again when it is unblocked.
func (s *Service) SetUserStatus(ctx context.Context, a *Actor, userID int64, status UserStatus) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if err := s.store.SetUserStatus(ctx, userID, status, a.audit("user."+string(status), userID)); err != nil {
		return notFound(err)
	}
	return s.refreshAndWait(ctx, userID)
}

// refreshAndWait refreshes a user's keys and waits until the nodes follow.
func (s *Service) refreshAndWait(ctx context.Context, userID int64) error {
	nodes, err := s.refresh(ctx, userID)
	s.awaitRevoked(ctx, nodes)
	return err
}

// RemoveUser deletes an account and all it has; its keys die at once.
func (s *Service) RemoveUser(ctx context.Context, a *Actor, userID int64) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	nodes, err := s.store.RemoveUser(ctx, userID, a.audit("user.remove", userID))
	if err != nil {
		return notFound(err)
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// RemoveUserDevice signs out a device of any user.
func (s *Service) RemoveUserDevice(ctx context.Context, a *Actor, userID, deviceID int64) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	return s.removeDevice(ctx, a, userID, deviceID)
}

// Subscribe gives a user periods of a plan: appended to a running subscription of the same plan, from now otherwise.
// A plan for life ignores periods.
func (s *Service) Subscribe(ctx context.Context, a *Actor, userID int64, planCode string, periods int) (Subscription, error) {
	if err := a.mayManage(); err != nil {
		return Subscription{}, err
	}
	if periods < 1 || periods > maxPeriods {
		return Subscription{}, invalid("periods", "in")
	}
	plan, err := s.store.PlanByCode(ctx, planCode)
	if errors.Is(err, ErrNotFound) {
		return Subscription{}, invalid("plan", "exists")
	}
	if err != nil {
		return Subscription{}, err
	}
	if periods*plan.PeriodDays > maxDays {
		return Subscription{}, invalid("periods", "in")
	}
	old, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return Subscription{}, notFound(err)
	}
	sub := subscribe(userID, &plan, &old, periods, s.now())
	if err := s.store.SetSubscription(ctx, sub, a.audit("subscription.set", userID)); err != nil {
		return Subscription{}, notFound(err)
	}
	return sub, s.refreshAndWait(ctx, userID)
}

// subscribe is the rule of Subscribe.
func subscribe(userID int64, plan *Plan, old *Entitlement, periods int, now time.Time) Subscription {
	length := time.Duration(plan.PeriodDays) * day * time.Duration(periods)
	status := old.Status(now)
	if old.Plan.ID == plan.ID && status != SubscriptionExpired && !old.Subscription.ExpiresAt.IsZero() && plan.PeriodDays > 0 {
		sub := old.Subscription
		sub.ExpiresAt = sub.ExpiresAt.Add(length)
		return sub
	}
	sub := Subscription{UserID: userID, PlanID: plan.ID, StartsAt: now, TrafficResetsAt: nextReset(plan, now, now)}
	if plan.PeriodDays > 0 {
		sub.ExpiresAt = now.Add(length)
	}
	return sub
}

// SetExpiry moves the end of a user's subscription. CodeSubscriptionRequired when there is none.
func (s *Service) SetExpiry(ctx context.Context, a *Actor, userID int64, expiresAt time.Time) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return notFound(err)
	}
	if !e.exists() {
		return Refusal(CodeSubscriptionRequired)
	}
	sub := e.Subscription
	sub.ExpiresAt = expiresAt.UTC().Truncate(time.Millisecond)
	if sub.ExpiresAt.Before(suspendedAt) { // 1970 and before are no instants here: 0 means that nothing expires
		sub.ExpiresAt = suspendedAt
	}
	if err := s.store.SetSubscription(ctx, sub, a.audit("subscription.expiry", userID)); err != nil {
		return notFound(err)
	}
	return s.refreshAndWait(ctx, userID)
}

// AddPlan makes a plan. CodeValidationFailed names the field; CodeConflict when the code is taken.
func (s *Service) AddPlan(ctx context.Context, a *Actor, p Plan) (Plan, error) {
	if err := a.mayManage(); err != nil {
		return Plan{}, err
	}
	if err := checkPlan(&p); err != nil {
		return Plan{}, err
	}
	plan, err := s.store.AddPlan(ctx, p, a.audit("plan.add", 0))
	if errors.Is(err, ErrTaken) {
		return Plan{}, &Error{Code: CodeConflict, Field: "code", Rule: "unique"}
	}
	return plan, err
}

func checkPlan(p *Plan) error {
	p.Code = strings.ToLower(strings.TrimSpace(p.Code))
	switch {
	case p.Code == "" || len(p.Code) > 64:
		return invalid("code", "required")
	case p.Name.RU == "" && p.Name.EN == "":
		return invalid("name", "required")
	case p.DeviceLimit < 1 || p.DeviceLimit > 10_000:
		return invalid("devices", "in")
	case p.PeriodDays < 0 || p.PeriodDays > maxDays:
		return invalid("days", "in")
	case p.GraceDays < 0 || p.GraceDays > 365:
		return invalid("grace", "in")
	case p.TrafficLimit < 0:
		return invalid("traffic", "in")
	case p.SpeedLimitMbps < 0 || p.SpeedLimitMbps > 1_000_000:
		return invalid("speed", "in")
	}
	return nil
}

// UpdatePlan replaces a plan's values; the keys of its subscribers follow.
func (s *Service) UpdatePlan(ctx context.Context, a *Actor, p Plan) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if err := checkPlan(&p); err != nil {
		return err
	}
	users, err := s.store.UpdatePlan(ctx, p, a.audit("plan.update", p.ID))
	if err != nil {
		return notFound(err)
	}
	for _, id := range users {
		if _, err := s.refresh(ctx, id); err != nil {
			return fmt.Errorf("plan saved, keys of user %d not: %w", id, err)
		}
	}
	return nil
}

// Plans returns all plans.
func (s *Service) Plans(ctx context.Context, a *Actor) ([]Plan, error) {
	if err := a.mayManage(); err != nil {
		return nil, err
	}
	return s.store.Plans(ctx)
}

// AddServer makes a server. CodeValidationFailed names the field; CodeConflict when the name is taken.
func (s *Service) AddServer(ctx context.Context, a *Actor, server Server) (Server, error) {
	if err := a.mayManage(); err != nil {
		return Server{}, err
	}
	if err := checkServer(&server); err != nil {
		return Server{}, err
	}
	added, err := s.store.AddServer(ctx, server, a.audit("server.add", 0))
	if errors.Is(err, ErrTaken) {
		return Server{}, &Error{Code: CodeConflict, Field: "name", Rule: "unique"}
	}
	s.directory.drop()
	return added, err
}

func checkServer(server *Server) error {
	server.CountryCode = strings.ToUpper(server.CountryCode)
	switch {
	case strings.TrimSpace(server.Name) == "" || len(server.Name) > 255:
		return invalid("name", "required")
	case len(server.CountryCode) != 2:
		return invalid("country", "in")
	case server.Host == "":
		return invalid("host", "required")
	case server.Latitude < -90 || server.Latitude > 90:
		return invalid("latitude", "in")
	case server.Longitude < -180 || server.Longitude > 180:
		return invalid("longitude", "in")
	case server.Capacity < 0:
		return invalid("capacity", "in")
	case server.ShadowsocksPort < 1 || server.ShadowsocksPorts < 1 || server.ShadowsocksPort+server.ShadowsocksPorts > 65_536:
		return invalid("ports", "in")
	}
	switch server.State {
	case "":
		server.State = ServerActive
	case ServerActive, ServerMaintenance, ServerDrained:
	default:
		return invalid("state", "in")
	}
	if len(server.Protocols) == 0 {
		server.Protocols = []Protocol{Shadowsocks}
	}
	return nil
}

// UpdateServer replaces a server's values by its id; if its tier changes, the keys on it follow.
func (s *Service) UpdateServer(ctx context.Context, a *Actor, server Server) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if err := checkServer(&server); err != nil {
		return err
	}
	err := s.store.UpdateServer(ctx, server, a.audit("server.update", server.ID))
	s.directory.drop()
	if errors.Is(err, ErrTaken) {
		return &Error{Code: CodeConflict, Field: "name", Rule: "unique"}
	}
	if err != nil {
		return notFound(err)
	}
	if err := s.Sweep(ctx); err != nil {
		return fmt.Errorf("server saved, keys not: %w", err)
	}
	return nil
}

// RemoveServer deletes a server; its keys die at once.
func (s *Service) RemoveServer(ctx context.Context, a *Actor, id int64) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	nodes, err := s.store.RemoveServer(ctx, id, a.audit("server.remove", id))
	if err != nil {
		return notFound(err)
	}
	s.directory.drop()
	s.nodes.Wake(nodes...)
	return nil
}

// AllServers returns every server, also those that are in no list, with the live state.
func (s *Service) AllServers(ctx context.Context, a *Actor) ([]ListedServer, error) {
	if err := a.mayManage(); err != nil {
		return nil, err
	}
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return nil, err
	}
	return s.listed(servers), nil
}

// AuditLog returns entries older than before (an id, 0 = the newest), the newest first.
func (s *Service) AuditLog(ctx context.Context, a *Actor, before int64, limit int) ([]Audit, error) {
	if err := a.mayManage(); err != nil {
		return nil, err
	}
	return s.store.AuditLog(ctx, before, limit)
}
