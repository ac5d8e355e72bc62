package wire

import "time"

// AdminUser is an account as an operator sees it in a list.
type AdminUser struct {
	ID     int64  `json:"id"`
	Email  string `json:"email"`
	Name   string `json:"name"`
	Status string `json:"status"`
	// Role is owner, admin, support, viewer or user.
	Role      string    `json:"role"`
	Locale    string    `json:"locale"`
	CreatedAt time.Time `json:"created_at"`
}

// Page is one page of a list. Next is what to pass as "after" (or "before", where the newest come first) for the following
// one, null on the last. A page of a search may be short, or empty, and have a next.
type Page[T any, Cursor any] struct {
	Data []T     `json:"data"`
	Next *Cursor `json:"next"`
}

// AdminProfile is all that is known of a user. There is no secret in it.
type AdminProfile struct {
	User         AdminUser         `json:"user"`
	Subscription AdminSubscription `json:"subscription"`
	// Reason is why the user may have no key now; null = may.
	Reason  *string      `json:"reason"`
	Traffic AdminTraffic `json:"traffic"`
	// SecondFactor is null when none is on.
	SecondFactor *AdminFactor   `json:"second_factor"`
	Passkeys     int            `json:"passkeys"`
	Devices      []AdminDevice  `json:"devices"`
	Usage        []AdminDay     `json:"usage"`
	Payments     []AdminPayment `json:"payments"`
	Audit        []AdminAudit   `json:"audit"`
}

// AdminSubscription is a user's subscription.
type AdminSubscription struct {
	Status    string     `json:"status"`
	Plan      *string    `json:"plan"` // its code
	StartsAt  *time.Time `json:"starts_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	// PendingDays is how long it will last once it begins with the first key.
	PendingDays int `json:"pending_days"`
}

// AdminTraffic is the running period's use.
type AdminTraffic struct {
	UsedBytes  int64      `json:"used_bytes"`
	LimitBytes *int64     `json:"limit_bytes"`
	ResetsAt   *time.Time `json:"resets_at"`
}

// AdminDevice is a device with its keys.
type AdminDevice struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name"`
	Platform   string     `json:"platform"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt *time.Time `json:"last_seen_at"` // a day
	Keys       []AdminKey `json:"keys"`
}

// AdminKey is a key without what it opens.
type AdminKey struct {
	ID        int64      `json:"id"`
	ServerID  int64      `json:"server_id"`
	CreatedAt time.Time  `json:"created_at"`
	NotAfter  *time.Time `json:"not_after"`
}

// AdminDay is the traffic of one day.
type AdminDay struct {
	Day       string `json:"day"`
	UpBytes   int64  `json:"up_bytes"`
	DownBytes int64  `json:"down_bytes"`
}

// AdminPayment is a payment that was taken.
type AdminPayment struct {
	ID        string    `json:"id"`
	UserID    int64     `json:"user_id"`
	PlanID    int64     `json:"plan_id"`
	Periods   int       `json:"periods"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	CreatedAt time.Time `json:"created_at"`
}

// AdminAudit is one entry of the audit log. In an export it has its Hash.
type AdminAudit struct {
	ID        int64     `json:"id"`
	ActorID   int64     `json:"actor_id"` // 0 = the shell or the program itself
	Action    string    `json:"action"`
	SubjectID int64     `json:"subject_id"`
	At        time.Time `json:"at"`
	Hash      string    `json:"hash,omitempty"`
}

// AdminChain is what a check of the audit log found.
type AdminChain struct {
	OK      bool   `json:"ok"`
	Entries int64  `json:"entries"`
	LastID  int64  `json:"last_id"`
	Head    string `json:"head"`
	// BrokenAfter and BrokenBy are the entries between which something was changed; null = nowhere.
	BrokenAfter *int64 `json:"broken_after"`
	BrokenBy    *int64 `json:"broken_by"`
}

// AdminReset is a link to set a new password.
type AdminReset struct {
	Token     string    `json:"token"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// AdminDiagnosis is why a device can't connect to a server.
type AdminDiagnosis struct {
	OK bool `json:"ok"`
	// Code is what POST /api/key would say; Cause is behind it.
	Code     *string `json:"code"`
	Cause    *string `json:"cause"`
	Message  Texts   `json:"message"`
	Remedy   Texts   `json:"remedy"` // empty when there is nothing to do
	DeviceID *int64  `json:"device_id"`
	ServerID *int64  `json:"server_id"`
	KeyID    *int64  `json:"key_id"`
	// ConfirmedAt is when the node last said that it has the key; NodeSeenAt when it was last heard of; Lag is how many changes
	// of keys it has not confirmed.
	ConfirmedAt *time.Time `json:"confirmed_at"`
	NodeSeenAt  *time.Time `json:"node_seen_at"`
	Lag         int64      `json:"lag"`
	// IsFull: all device slots are taken.
	IsFull bool `json:"is_full"`
}

// AdminDiagnoses is why a user can't connect, and the same of each key; without keys where one device or server was named.
type AdminDiagnoses struct {
	AdminDiagnosis
	Keys []AdminDiagnosis `json:"keys"`
}

// Texts is a text in both languages.
type Texts struct {
	RU string `json:"ru"`
	EN string `json:"en"`
}

// AdminBulk is what became of each of many accounts.
type AdminBulk struct {
	Done int            `json:"done"`
	Data []AdminOutcome `json:"data"`
}

// AdminOutcome is what became of one; Code is null when it was done.
type AdminOutcome struct {
	ID   int64   `json:"id"`
	Code *string `json:"code"`
}

// AdminJob is an action on many accounts that goes on by itself.
type AdminJob struct {
	ID      int64   `json:"id"`
	ActorID int64   `json:"actor_id"`
	Action  string  `json:"action"`
	Days    int     `json:"days"`
	Plan    *string `json:"plan"`
	Periods int     `json:"periods"`
	// State is selecting, running, done, cancelled or failed.
	State    string `json:"state"`
	Selected int64  `json:"selected"`
	Done     int64  `json:"done"`
	Refused  int64  `json:"refused"`
	Percent  int    `json:"percent"`
	// Error is why it failed.
	Error     *string    `json:"error"`
	CreatedAt time.Time  `json:"created_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// AdminWebhook is an address that is told of events. It has its Secret in the answer that made it, and nowhere else.
type AdminWebhook struct {
	ID        int64     `json:"id"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	IsActive  bool      `json:"is_active"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty"`
}

// AdminDelivery is one event on its way to one webhook.
type AdminDelivery struct {
	ID        int64  `json:"id"`
	WebhookID int64  `json:"webhook_id"`
	Event     string `json:"event"`
	UserID    int64  `json:"user_id"`
	SubjectID int64  `json:"subject_id"`
	// State is waiting, delivered or failed.
	State    string     `json:"state"`
	At       time.Time  `json:"at"`
	Attempts int        `json:"attempts"`
	DueAt    *time.Time `json:"due_at"`
	EndedAt  *time.Time `json:"ended_at"`
	// Status is the HTTP status of the last attempt, 0 = none; Error says what was wrong with it.
	Status int     `json:"status"`
	Error  *string `json:"error"`
}

// AdminPlan is a plan.
type AdminPlan struct {
	ID               int64  `json:"id"`
	Code             string `json:"code"`
	Name             Texts  `json:"name"`
	Tier             int    `json:"tier"`
	PeriodDays       int    `json:"period_days"`
	GraceDays        int    `json:"grace_days"`
	IsTrial          bool   `json:"is_trial"`
	DeviceLimit      int    `json:"device_limit"`
	TrafficLimit     int64  `json:"traffic_limit"`
	TrafficByPeriod  bool   `json:"traffic_by_period"`
	SpeedLimitMbps   int    `json:"speed_limit_mbps"`
	StartsAtFirstUse bool   `json:"starts_at_first_use"`
	NextPlanID       int64  `json:"next_plan_id"`
}

// AdminServer is a server with its live state.
type AdminServer struct {
	ID               int64    `json:"id"`
	Name             string   `json:"name"`
	Country          string   `json:"country"`
	City             Texts    `json:"city"`
	Latitude         float64  `json:"latitude"`
	Longitude        float64  `json:"longitude"`
	Host             string   `json:"host"`
	PingURL          string   `json:"ping_url"`
	Tier             int      `json:"tier"`
	Capacity         int      `json:"capacity"`
	State            string   `json:"state"`
	Protocols        []string `json:"protocols"`
	ShadowsocksPort  int      `json:"shadowsocks_port"`
	ShadowsocksPorts int      `json:"shadowsocks_ports"`
	// ShadowsocksMethod is aes-256-gcm, chacha20-ietf-poly1305, 2022-blake3-aes-128-gcm or 2022-blake3-aes-256-gcm.
	ShadowsocksMethod string `json:"shadowsocks_method"`
	HTTPSPort         int    `json:"https_port"` // 0 = no HTTPS proxy
	// Status, ActiveConnections and Load are of this moment.
	Status            string `json:"status"`
	ActiveConnections int    `json:"active_connections"`
	Load              int    `json:"load"`
}

// AdminNode is the machine behind a server.
type AdminNode struct {
	ID            int64      `json:"id"` // the server's
	Name          string     `json:"name"`
	IsOnline      bool       `json:"is_online"`
	ActiveDevices int        `json:"active_devices"`
	HeardAt       *time.Time `json:"heard_at"`
	Keys          int        `json:"keys"`
	Revision      int64      `json:"revision"`
	// What was written down of the node: when it was last heard of, which revision it has confirmed, and how many it is behind.
	SeenAt    *time.Time `json:"seen_at"`
	Confirmed int64      `json:"confirmed_revision"`
	Lag       int64      `json:"lag"`
	Version   *string    `json:"version"`
	Load      int        `json:"load"`
	Sessions  int        `json:"sessions"`
	// RefusedKeys are those that the node does not honour, or cannot hold.
	RefusedKeys int `json:"refused_keys"`
	// JoinedAt, RevokedAt and CertifiedUntil are null for the node in the service itself.
	JoinedAt       *time.Time `json:"joined_at"`
	RevokedAt      *time.Time `json:"revoked_at"`
	CertifiedUntil *time.Time `json:"certified_until"`
}

// AdminJoin is the line by which a machine joins as the node of a server, shown once.
type AdminJoin struct {
	Line      string    `json:"line"`
	ExpiresAt time.Time `json:"expires_at"`
}

// AdminVoucher is a voucher without its code.
type AdminVoucher struct {
	ID        int64      `json:"id"`
	PlanID    int64      `json:"plan_id"`
	Periods   int        `json:"periods"`
	Uses      int        `json:"uses"`
	Used      int        `json:"used"`
	Note      string     `json:"note"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// AdminCodes are new voucher codes, shown once.
type AdminCodes struct {
	Codes []string `json:"codes"`
}

// AdminStats is the service at a glance.
type AdminStats struct {
	Users             int64          `json:"users"`
	Blocked           int64          `json:"blocked"`
	Subscribed        int64          `json:"subscribed"`
	Expired           int64          `json:"expired"`
	Devices           int64          `json:"devices"`
	CountedAt         time.Time      `json:"counted_at"`
	ActiveConnections int            `json:"active_connections"`
	Nodes             int            `json:"nodes"`
	NodesOnline       int            `json:"nodes_online"`
	Traffic           []AdminNodeDay `json:"traffic"`
}

// AdminNodeDay is the traffic of one node on one day.
type AdminNodeDay struct {
	NodeID int64 `json:"node_id"`
	AdminDay
}

// AdminSettings are what operators set of the service; null = not set.
type AdminSettings struct {
	Brand      *string `json:"brand"`
	AccountURL *string `json:"account_url"`
	RenewURL   *string `json:"renew_url"`
	SupportURL *string `json:"support_url"`
	// SignUp is closed, invitation, voucher or open.
	SignUp   *string `json:"sign_up"`
	MailFrom *string `json:"mail_from"`
}

// AdminSettingsView is the settings as they are kept and as they are in force. Fixed names those that the command line sets.
type AdminSettingsView struct {
	Kept      AdminSettings `json:"kept"`
	InForce   AdminSettings `json:"in_force"`
	Fixed     []string      `json:"fixed"`
	SendsMail bool          `json:"sends_mail"`
}

// AdminInvitation is an invitation to make an account, without its secret.
type AdminInvitation struct {
	ID        int64      `json:"id"`
	Email     *string    `json:"email"`
	PlanID    *int64     `json:"plan_id"`
	Periods   int        `json:"periods"`
	Note      string     `json:"note"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at"`
	UserID    *int64     `json:"user_id"` // whom it made
}

// AdminNewInvitation is a new one with its secret and its link, shown once.
type AdminNewInvitation struct {
	AdminInvitation
	Token string `json:"token"`
	URL   string `json:"url"`
}

// AdminFactor is a second factor that is on.
type AdminFactor struct {
	ConfirmedAt   time.Time `json:"confirmed_at"`
	RecoveryCodes int       `json:"recovery_codes"`
}
