package api

import (
	"context"
	"encoding/json"
	"time"

	"stile/vpn"
	"stile/wire"
)

// Page sizes of the lists.
const (
	defaultPage = 50
	maxPage     = 1000
)

// pageSize reads how many rows are asked for.
func (in *input) pageSize() int {
	n := in.integer("limit", false)
	if in.isGiven("limit") && (n < 1 || n > maxPage) {
		in.fault("limit", "in", 0)
	}
	if n == 0 {
		return defaultPage
	}
	return int(n)
}

// pageOf is a page of rows, of which one more than fit was asked for: so that the last page is known for the last. cursor is
// what a row is named by.
func pageOf[Row, Out, Cursor any](rows []Row, limit int, show func(*Row) Out, cursor func(*Row) Cursor) *wire.Page[Out, Cursor] {
	out := &wire.Page[Out, Cursor]{Data: eachOf(rows[:min(len(rows), limit)], show)}
	if len(rows) > limit {
		next := cursor(&rows[limit-1])
		out.Next = &next
	}
	return out
}

// eachOf is rows as the API shows them; never null.
func eachOf[Row, Out any](rows []Row, show func(*Row) Out) []Out {
	out := make([]Out, len(rows))
	for i := range rows {
		out[i] = show(&rows[i])
	}
	return out
}

// count reads a whole number that fits an int.
func (in *input) count(name string, isRequired bool) int {
	n := in.integer(name, isRequired)
	if int64(int32(n)) != n {
		in.fault(name, "in", 0)
		return 0
	}
	return int(n)
}

// instant reads an RFC 3339 instant; zero when it is absent.
func (in *input) instant(name string, isRequired bool) time.Time {
	text := in.text(name, isRequired)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if t = t.UTC(); err != nil || t.Year() > 9999 { // as one west of Greenwich may be
		in.fault(name, "date", 0)
		return time.Time{}
	}
	return t
}

// ids reads a required list of whole numbers.
func (in *input) ids(name string) (ids []int64) {
	v := in.field(name, true)
	switch {
	case v.kind == kindAbsent:
	case v.kind != kindOther || json.Unmarshal([]byte(v.text), &ids) != nil:
		in.fault(name, "in", 0)
		return nil
	}
	return ids
}

// usersInput is the input of GET /api/admin/users.
type usersInput struct {
	vpn.UserFilter
	plan string
}

func (u *usersInput) read(in *input) {
	u.filter(in, "plan")
	u.After, u.Limit = in.integer("after", false), in.pageSize()
}

// filter reads what accounts are selected by; plan is what the field with the plan is called.
func (u *usersInput) filter(in *input, plan string) {
	u.Search, u.EmailPrefix = in.text("search", false), vpn.NormalEmail(in.text("email", false))
	u.Status = vpn.UserStatus(in.text("status", false))
	switch u.Status {
	case "", vpn.UserActive, vpn.UserBlocked:
	default:
		in.fault("status", "in", 0)
	}
	u.IsStaff, u.plan = in.boolean("staff"), in.text(plan, false)
	u.ExpiresAfter, u.ExpiresBefore = in.instant("expires_after", false), in.instant("expires_before", false)
}

// findPlan turns the plan's code into its id.
func (a *API) findPlan(ctx context.Context, actor *vpn.Actor, u *usersInput) (err error) {
	if u.plan != "" {
		u.PlanID, err = a.planID(ctx, actor, u.plan)
	}
	return err
}

// adminUsers returns a page of accounts.
func (a *API) adminUsers(ctx context.Context, actor *vpn.Actor, in usersInput) (*wire.Page[wire.AdminUser, int64], error) {
	if err := a.findPlan(ctx, actor, &in); err != nil {
		return nil, err
	}
	page, err := a.service.Users(ctx, actor, in.UserFilter)
	if err != nil {
		return nil, err
	}
	return &wire.Page[wire.AdminUser, int64]{Data: eachOf(page.Users, adminUserOf), Next: orNull(page.Next)}, nil
}

// planID returns the id of the plan with a code.
func (a *API) planID(ctx context.Context, actor *vpn.Actor, code string) (int64, error) {
	plans, err := a.service.Plans(ctx, actor)
	if err != nil {
		return 0, err
	}
	for i := range plans {
		if plans[i].Code == code {
			return plans[i].ID, nil
		}
	}
	return 0, &vpn.Error{Code: vpn.CodeValidationFailed, Field: "plan", Rule: "exists"}
}

func adminUserOf(u *vpn.User) wire.AdminUser {
	return wire.AdminUser{
		ID: u.ID, Email: u.Email, Name: u.Name, Status: string(u.Status), Role: u.Role.String(), Locale: u.Locale,
		CreatedAt: wire.Seconds(u.CreatedAt),
	}
}

// newUserInput is the input of POST /api/admin/users.
type newUserInput struct{ vpn.NewAccount }

func (u *newUserInput) read(in *input) {
	u.Email, u.Password = in.email("email"), in.password("password")
	u.Name, u.Locale = in.text("name", false), in.text("locale", false)
}

// addUser makes an account.
func (a *API) addUser(ctx context.Context, actor *vpn.Actor, in newUserInput) (wire.AdminUser, error) {
	u, err := a.service.AddUser(ctx, actor, in.NewAccount)
	return adminUserOf(&u), err
}

// named is the input of routes that only name what they are about.
type named struct{ id int64 }

func (n *named) read(in *input) { n.id = in.x.pathID() }

// profile returns all that is known of a user.
func (a *API) profile(ctx context.Context, actor *vpn.Actor, in named) (*wire.AdminProfile, error) {
	p, err := a.service.Profile(ctx, actor, in.id)
	if err != nil {
		return nil, err
	}
	sub := &p.Entitlement.Subscription
	out := &wire.AdminProfile{
		User: adminUserOf(&p.User),
		Subscription: wire.AdminSubscription{
			Status: string(p.Status), Plan: orNull(p.Entitlement.Plan.Code), StartsAt: wire.SecondsOrNull(sub.StartsAt),
			ExpiresAt: wire.SecondsOrNull(sub.ExpiresAt), PendingDays: sub.PendingDays,
		},
		Reason:   orNull(string(p.Access.Reason)),
		Traffic:  wire.AdminTraffic{UsedBytes: p.Traffic.Used, LimitBytes: orNull(p.Traffic.Limit), ResetsAt: wire.SecondsOrNull(p.Traffic.ResetsAt)},
		Passkeys: p.Passkeys, Devices: adminDevicesOf(p.Devices, p.Keys), Usage: make([]wire.AdminDay, len(p.Usage)),
		Payments: eachOf(p.Payments, adminPaymentOf), Audit: eachOf(p.Audit, auditEntryOf),
	}
	if p.Factor.IsOn() {
		out.SecondFactor = &wire.AdminFactor{ConfirmedAt: wire.Seconds(p.Factor.ConfirmedAt), RecoveryCodes: p.Factor.RecoveryCodes}
	}
	for i, d := range p.Usage {
		out.Usage[i] = dayOf(d.Day, d.Up, d.Down)
	}
	return out, nil
}

func dayOf(day time.Time, up, down int64) wire.AdminDay {
	return wire.AdminDay{Day: day.Format(time.DateOnly), UpBytes: up, DownBytes: down}
}

// adminDevicesOf are devices with their keys, which come in the order of their devices.
func adminDevicesOf(devices []vpn.Device, keys []vpn.Key) []wire.AdminDevice {
	byDevice := make(map[int64][]wire.AdminKey, len(devices))
	for i := range keys {
		k := &keys[i]
		byDevice[k.DeviceID] = append(byDevice[k.DeviceID], wire.AdminKey{
			ID: k.ID, ServerID: k.ServerID, CreatedAt: wire.Seconds(k.CreatedAt), NotAfter: wire.SecondsOrNull(k.NotAfter),
		})
	}
	out := make([]wire.AdminDevice, len(devices))
	for i := range devices {
		d := &devices[i]
		out[i] = wire.AdminDevice{
			ID: d.ID, Name: d.Name, Platform: string(d.Platform), CreatedAt: wire.Seconds(d.CreatedAt),
			LastSeenAt: wire.SecondsOrNull(d.LastSeenDay), Keys: append([]wire.AdminKey{}, byDevice[d.ID]...),
		}
	}
	return out
}

// removeUser deletes an account and all it has.
func (a *API) removeUser(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RemoveUser(ctx, actor, in.id)
}

// statusInput is the input of PATCH /api/admin/users/{id}.
type statusInput struct {
	id     int64
	status vpn.UserStatus
}

func (s *statusInput) read(in *input) {
	s.id, s.status = in.x.pathID(), vpn.UserStatus(in.text("status", true))
	if s.status != "" && s.status != vpn.UserActive && s.status != vpn.UserBlocked {
		in.fault("status", "in", 0)
	}
}

// setStatus blocks or unblocks an account.
func (a *API) setStatus(ctx context.Context, actor *vpn.Actor, in statusInput) (done, error) {
	return done{}, a.service.SetUserStatus(ctx, actor, in.id, in.status)
}

// roleInput is the input of PUT /api/admin/users/{id}/role.
type roleInput struct {
	id   int64
	role vpn.Role
}

func (r *roleInput) read(in *input) {
	r.id = in.x.pathID()
	word := in.text("role", true)
	role, ok := vpn.ParseRole(word)
	if r.role = role; !ok && word != "" {
		in.fault("role", "in", 0)
	}
}

// setRole says what an account may do beyond using the service.
func (a *API) setRole(ctx context.Context, actor *vpn.Actor, in roleInput) (done, error) {
	return done{}, a.service.SetRole(ctx, actor, in.id, in.role)
}

// resetInput is the input of POST /api/admin/users/{id}/reset.
type resetInput struct {
	id      int64
	baseURL string
}

func (r *resetInput) read(in *input) { r.id, r.baseURL = in.x.pathID(), in.x.baseURL() }

// resetPassword makes a link with which a user sets a new password.
func (a *API) resetPassword(ctx context.Context, actor *vpn.Actor, in resetInput) (wire.AdminReset, error) {
	secret, expiresAt, err := a.service.ResetPassword(ctx, actor, in.id)
	return wire.AdminReset{Token: secret, URL: in.baseURL + "/reset/" + secret, ExpiresAt: wire.Seconds(expiresAt)}, err
}

// newPasswordInput is the input of POST /api/password.
type newPasswordInput struct {
	token, password string
	keepDevices     bool
}

func (n *newPasswordInput) read(in *input) {
	n.token, n.password, n.keepDevices = in.text("token", true), in.password("password"), in.boolean("keep_devices")
}

// newPassword sets a password by a link.
func (a *API) newPassword(ctx context.Context, _ *vpn.Actor, in newPasswordInput) (done, error) {
	return done{}, a.service.RedeemPasswordReset(ctx, in.token, in.password, in.keepDevices)
}

// signOutUser ends all sessions of a user.
func (a *API) signOutUser(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.SignOutUser(ctx, actor, in.id)
}

// deviceInput is the input of DELETE /api/admin/users/{id}/devices/{device}.
type deviceInput struct{ id, device int64 }

func (d *deviceInput) read(in *input) { d.id, d.device = in.x.pathID(), in.x.pathNumber("device") }

// signOutDevice ends the session of one device.
func (a *API) signOutDevice(ctx context.Context, actor *vpn.Actor, in deviceInput) (done, error) {
	return done{}, a.service.RemoveUserDevice(ctx, actor, in.id, in.device)
}

// diagnosisInput is the input of GET /api/admin/users/{id}/diagnosis.
type diagnosisInput struct{ id, device, server int64 }

func (d *diagnosisInput) read(in *input) {
	d.id, d.device, d.server = in.x.pathID(), in.integer("device_id", false), in.integer("server_id", false)
}

// diagnosis says why a user can't connect.
func (a *API) diagnosis(ctx context.Context, actor *vpn.Actor, in diagnosisInput) (*wire.AdminDiagnoses, error) {
	if in.device != 0 || in.server != 0 {
		d, err := a.service.Diagnose(ctx, actor, in.id, in.device, in.server)
		return &wire.AdminDiagnoses{AdminDiagnosis: diagnosisOf(&d), Keys: []wire.AdminDiagnosis{}}, err
	}
	d, keys, err := a.service.Diagnoses(ctx, actor, in.id)
	if err != nil {
		return nil, err
	}
	return &wire.AdminDiagnoses{AdminDiagnosis: diagnosisOf(&d), Keys: eachOf(keys, diagnosisOf)}, nil
}

func diagnosisOf(d *vpn.Diagnosis) wire.AdminDiagnosis {
	words := d.Advice()
	return wire.AdminDiagnosis{
		OK: d.Code == "", Code: orNull(string(d.Code)), Cause: orNull(string(d.Cause)), Message: wire.Texts(words.Reason), Remedy: wire.Texts(words.Remedy),
		DeviceID: orNull(d.DeviceID), ServerID: orNull(d.ServerID), KeyID: orNull(d.KeyID), ConfirmedAt: wire.SecondsOrNull(d.ConfirmedAt),
		NodeSeenAt: wire.SecondsOrNull(d.SeenAt), Lag: d.Lag, IsFull: d.IsFull,
	}
}

// bulkInput is the input of POST /api/admin/users/bulk.
type bulkInput struct{ vpn.Bulk }

func (b *bulkInput) read(in *input) {
	b.Action, b.IDs = vpn.BulkAction(in.text("action", true)), in.ids("ids")
	b.Days, b.Plan, b.Periods = in.count("days", false), in.text("plan", false), in.count("periods", false)
	if b.Periods == 0 {
		b.Periods = 1
	}
}

// bulk does the same to many accounts.
func (a *API) bulk(ctx context.Context, actor *vpn.Actor, in bulkInput) (*wire.AdminBulk, error) {
	outcomes, err := a.service.Bulk(ctx, actor, in.Bulk)
	if err != nil {
		return nil, err
	}
	out := &wire.AdminBulk{Data: make([]wire.AdminOutcome, len(outcomes))}
	for i := range outcomes {
		out.Data[i] = adminOutcomeOf(&outcomes[i])
		if outcomes[i].Code == "" {
			out.Done++
		}
	}
	return out, nil
}

func adminOutcomeOf(o *vpn.BulkOutcome) wire.AdminOutcome {
	return wire.AdminOutcome{ID: o.ID, Code: orNull(string(o.Code))}
}

// done is the answer of what only is done: no body.
type done struct{}

func (done) send(x *exchange) {
	delete(x.w.Header(), "Content-Type")
	x.send(204, nil)
}
