package vpn

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound is returned by Store methods when no such row exists.
var ErrNotFound = errors.New("not found")

// ErrTaken is returned by Store methods when a unique value (an e-mail, a plan's code, a server's name) is in use.
var ErrTaken = errors.New("already taken")

// ErrLastOwner is returned by Store methods that would leave no active owner.
var ErrLastOwner = errors.New("the last owner")

// ErrDeviceLimit is returned by Store.SignIn when no slot is free.
var ErrDeviceLimit = errors.New("device limit reached")

// ErrCodeTaken is returned by Store methods that take a code of a second factor which was taken before, or never was one.
var ErrCodeTaken = errors.New("the code was taken")

// ErrLimit is returned by Store.AddToken when the user has as many tokens as allowed.
var ErrLimit = errors.New("limit reached")

// ErrUnavailable is wrapped where the database is out of reach, and by writes that it cannot take now, such as on a full disk, when
// reads go on. Nothing was changed.
var ErrUnavailable = errors.New("the database is not available")

// Store keeps the state. Every method is one transaction; a method that returned nil has made its change durable.
// Methods that change something take the Audit entry that is written with it. Contexts end waiting, never a commit
// that has begun.
type Store interface {
	UserStore
	SessionStore
	BrowserStore
	FactorStore
	PasskeyStore
	DeviceStore
	PlanStore
	SubscriptionStore
	ServerStore
	KeyStore
	NodeStore
	ConfigStore
	MembershipStore
	SetupStore
	ImportStore
	AuditStore
	WebhookStore
	OutboxStore
	ResetStore
	SignUpStore
	SettingsStore
	AnswerStore
	StatsStore
	JobStore
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close ends writes that have begun, refuses later ones, and closes the connections.
	Close() error
}

// UserStore keeps accounts.
type UserStore interface {
	// AddUser makes an account. ErrTaken when the e-mail is in use.
	AddUser(ctx context.Context, u NewUser, a Audit) (User, error)
	// User returns an account by id, or ErrNotFound.
	User(ctx context.Context, id int64) (User, error)
	// UserByEmail returns an account by its lower-case e-mail, or ErrNotFound.
	UserByEmail(ctx context.Context, email string) (User, error)
	// Credentials returns what a sign-in is checked against, or ErrNotFound.
	Credentials(ctx context.Context, email string) (Credentials, error)
	// Users returns a page of accounts.
	Users(ctx context.Context, f UserFilter) (UserPage, error)
	// SetPasswordHash replaces a password's hash; signOut also deletes every token and browser's session and removes
	// every device.
	SetPasswordHash(ctx context.Context, userID int64, hash string, signOut bool, a Audit) ([]NodeRev, error)
	// Rehash replaces a password's hash by another one of the same password. ErrNotFound when it is no longer old.
	Rehash(ctx context.Context, userID int64, old, hash string, a Audit) error
	// SetRole changes a user's role. ErrLastOwner when that leaves no active owner; ErrNotFound.
	SetRole(ctx context.Context, userID int64, role Role, a Audit) error
	// SetUserStatus blocks or unblocks an account. Keys are the caller's to refresh. ErrLastOwner as above.
	SetUserStatus(ctx context.Context, userID int64, s UserStatus, a Audit) error
	// RemoveUser deletes an account with everything it has; its keys become tombstones. ErrLastOwner as above.
	RemoveUser(ctx context.Context, userID int64, a Audit) ([]NodeRev, error)
}

// Session is a token with whom it stands for, read in one query.
type Session struct {
	Token  Token
	User   User
	Device Device // zero for an API token
	// Entitlement is the user's.
	Entitlement Entitlement
}

// NewSession is a sign-in to be made.
type NewSession struct {
	UserID    int64
	ClientID  string
	Name      string
	Platform  Platform
	TokenHash TokenHash
	// DeviceLimit bounds how many devices the user may have signed in.
	DeviceLimit int
	// ReplaceDeviceID is removed, in the same transaction, when no slot is free; 0 = none.
	ReplaceDeviceID int64
	// Code is taken with the session, or neither is.
	Code CodeUse
}

// SignedIn is the outcome of a sign-in.
type SignedIn struct {
	TokenID  int64
	DeviceID int64
	// Changed are the nodes that lost keys of a replaced device.
	Changed []NodeRev
}

// SessionStore keeps tokens.
type SessionStore interface {
	// Session returns the token with this hash, its user and its device, expired or not; ErrNotFound when there is none
	// or its user or device is gone. id is the token's, as far as the bearer says one: if it is right, that is faster.
	// It is the hot path: one prepared query, not bound to the request's cancellation.
	Session(ctx context.Context, id int64, hash TokenHash) (*Session, error)
	// SignIn takes a device slot (or the one the client device holds), replaces its token, and returns both ids.
	// The slot is taken by one conditional statement. ErrCodeTaken; ErrDeviceLimit when none is free.
	SignIn(ctx context.Context, s NewSession, a Audit) (SignedIn, error)
	// SignOut deletes a token. When it was a device's, the device is removed as by RemoveDevice.
	SignOut(ctx context.Context, tokenID int64, a Audit) ([]NodeRev, error)
	// AddToken makes an API token and returns its id. ErrLimit when the user has limit of them, ErrNotFound without the user.
	AddToken(ctx context.Context, t Token, hash TokenHash, limit int, a Audit) (int64, error)
	// Tokens returns a user's API tokens in the order of their ids.
	Tokens(ctx context.Context, userID int64) ([]Token, error)
	// RemoveToken deletes an API token. ErrNotFound when the user has no such token.
	RemoveToken(ctx context.Context, userID, tokenID int64, a Audit) error
	// SignOutUser deletes every token and browser's session of a user and removes every device. ErrNotFound.
	SignOutUser(ctx context.Context, userID int64, a Audit) ([]NodeRev, error)
	// Touch notes the day of last use of a token and its device, if it is later than the one noted.
	Touch(ctx context.Context, tokenID, deviceID int64, today time.Time) error
}

// BrowserStore keeps sessions of the dashboard.
type BrowserStore interface {
	// AddBrowser makes a session of a user, which takes a code, and deletes the oldest ones above limit. ErrNotFound without
	// the user, ErrCodeTaken.
	AddBrowser(ctx context.Context, userID int64, hash TokenHash, limit int, code CodeUse, a Audit) error
	// Browser returns the session with this hash and its user; ErrNotFound when there is none.
	Browser(ctx context.Context, hash TokenHash) (Browser, User, error)
	// Browsers returns a user's sessions in the order of their ids.
	Browsers(ctx context.Context, userID int64) ([]Browser, error)
	// TouchBrowser notes the day of last use, if it is later than the one noted.
	TouchBrowser(ctx context.Context, id int64, today time.Time) error
	// RemoveBrowser deletes a session, or returns ErrNotFound.
	RemoveBrowser(ctx context.Context, hash TokenHash) error
	// RemoveBrowsers deletes all sessions of a user.
	RemoveBrowsers(ctx context.Context, userID int64, a Audit) error
}

// FactorStore keeps second factors, their secrets sealed.
type FactorStore interface {
	// SecondFactor returns a user's second factor, confirmed or not, or ErrNotFound.
	SecondFactor(ctx context.Context, userID int64) (SecondFactor, error)
	// BeginSecondFactor keeps a secret that is to be confirmed, in place of one that never was. ErrTaken when one is
	// confirmed, ErrNotFound without the user.
	BeginSecondFactor(ctx context.Context, userID int64, secret OTPSecret, a Audit) error
	// ConfirmSecondFactor makes a second factor count, with its recovery codes, and takes the code of a step. ErrNotFound
	// when it counts already or another is in its place.
	ConfirmSecondFactor(ctx context.Context, id, step int64, codes []TokenHash, a Audit) error
	// CountCode counts a try of a code: burst at once, then one per interval (a generic cell rate algorithm). It returns how
	// long this one comes too early; then it does not count. ErrNotFound unless the second factor counts.
	CountCode(ctx context.Context, id int64, burst int, interval time.Duration) (wait time.Duration, err error)
	// TakeCode takes a code, by one conditional statement. ErrCodeTaken unless the second factor counts and no code of this or
	// a later step was taken, or the recovery code is there.
	TakeCode(ctx context.Context, code CodeUse) error
	// ReplaceRecoveryCodes replaces all that are left. ErrNotFound unless the second factor counts.
	ReplaceRecoveryCodes(ctx context.Context, id int64, codes []TokenHash, a Audit) error
	// RemoveSecondFactor deletes a user's second factor with its recovery codes, or returns ErrNotFound.
	RemoveSecondFactor(ctx context.Context, userID int64, a Audit) error
}

// PasskeyStore keeps passkeys, and makes challenges that every process on this database can tell.
type PasskeyStore interface {
	// Challenge makes a random challenge for a user (0 = whoever it may be) that holds until an instant. Nothing is stored.
	Challenge(userID int64, until time.Time) []byte
	// ChallengeOf returns what Challenge was given, or ErrNotFound.
	ChallengeOf(challenge []byte) (userID int64, until time.Time, err error)
	// Passkeys returns a user's passkeys in the order of their ids.
	Passkeys(ctx context.Context, userID int64) ([]Passkey, error)
	// Passkey returns the one with this name and the state of its account, or ErrNotFound.
	Passkey(ctx context.Context, credential []byte) (Passkey, UserStatus, error)
	// AddPasskey keeps a passkey and takes the challenge. ErrTaken when either is there already, ErrLimit when the user has as
	// many as allowed, ErrNotFound without the user.
	AddPasskey(ctx context.Context, p Passkey, u PasskeyUse, limit int, a Audit) error
	// UsePasskey takes the challenge, moves the counter forward, notes the day and makes a session as AddBrowser does, or does
	// nothing. ErrTaken when the challenge was taken; ErrNotFound when the passkey is gone or its counter is not behind.
	UsePasskey(ctx context.Context, u PasskeyUse, browser TokenHash, limit int, a Audit) error
	// RenamePasskey changes the shown name. ErrNotFound when the user has no such passkey.
	RenamePasskey(ctx context.Context, userID, id int64, name string, a Audit) error
	// RemovePasskey deletes a passkey. ErrNotFound as above.
	RemovePasskey(ctx context.Context, userID, id int64, a Audit) error
	// RemovePasskeys deletes all of a user. ErrNotFound when there are none.
	RemovePasskeys(ctx context.Context, userID int64, a Audit) error
}

// DeviceStore keeps devices.
type DeviceStore interface {
	// AddDevice takes a slot, as SignIn does, for a device without a token, and returns its id. ErrDeviceLimit.
	AddDevice(ctx context.Context, s NewSession, a Audit) (int64, error)
	// Devices returns a user's signed-in devices in the order of their ids.
	Devices(ctx context.Context, userID int64) ([]Device, error)
	// RemoveDevice frees the slot, deletes the device's tokens and makes its keys tombstones. ErrNotFound when the user
	// has no such device signed in.
	RemoveDevice(ctx context.Context, userID, deviceID int64, a Audit) ([]NodeRev, error)
	// RenameDevice changes the shown name. ErrNotFound as above.
	RenameDevice(ctx context.Context, userID, deviceID int64, name string, a Audit) error
	// Addressed returns a signed-in device with its subscription address, or ErrNotFound.
	Addressed(ctx context.Context, deviceID int64) (Device, Address, error)
	// RotateAddress gives a device another address, which none before can have been, and makes its keys tombstones.
	// ErrNotFound as above.
	RotateAddress(ctx context.Context, userID, deviceID int64, a Audit) ([]NodeRev, error)
}

// PlanStore keeps plans.
type PlanStore interface {
	// AddPlan makes a plan. ErrTaken when the code is in use.
	AddPlan(ctx context.Context, p Plan, a Audit) (Plan, error)
	// Plans returns all plans in the order of their ids.
	Plans(ctx context.Context) ([]Plan, error)
	// PlanByCode returns one plan, or ErrNotFound.
	PlanByCode(ctx context.Context, code string) (Plan, error)
	// UpdatePlan replaces a plan's values by its id. All who are subscribed to it become due (SpreadDue).
	UpdatePlan(ctx context.Context, p Plan, a Audit) error
}

// SubscriptionStore keeps subscriptions.
type SubscriptionStore interface {
	// Entitlement returns a user's subscription with its plan; the zero Entitlement when there is none.
	Entitlement(ctx context.Context, userID int64) (Entitlement, error)
	// Standing returns a user with the entitlement, read as of one moment. ErrNotFound when there is no such user.
	Standing(ctx context.Context, userID int64) (User, Entitlement, error)
	// ChangeSubscription gives a user the subscription that a rule makes of the one there is, and returns it. Nobody changes
	// either meanwhile; the rule may be asked more than once, and its refusal changes nothing. The UserID is filled in.
	// ErrNotFound when there is no such user or plan.
	ChangeSubscription(ctx context.Context, userID int64, rule SubscriptionRule, a Audit) (Subscription, error)
	// AdvancePlans gives those whose subscription and grace ended at or before now the plan that follows theirs, by a rule
	// that gets it, and returns them; at most limit.
	AdvancePlans(ctx context.Context, now time.Time, rule func(next *Plan) Subscription, limit int, a Audit) ([]int64, error)
	// TakePayment is ChangeSubscription for p.UserID, once for p.ID. It returns the payment that has the id, the user's
	// subscription, and whether it was extended by this call.
	TakePayment(ctx context.Context, p Payment, rule SubscriptionRule, a Audit) (Payment, Subscription, bool, error)
	// AddVouchers makes a voucher like v for each hash.
	AddVouchers(ctx context.Context, v Voucher, hashes []TokenHash, a Audit) error
	// Payments returns payments, the newest first.
	Payments(ctx context.Context, f PaymentFilter) ([]Payment, error)
	// Vouchers returns vouchers with an id below before (0 = the newest), the newest first, at most limit.
	Vouchers(ctx context.Context, before int64, limit int) ([]Voucher, error)
	// RemoveVoucher deletes a voucher, or returns ErrNotFound.
	RemoveVoucher(ctx context.Context, id int64, a Audit) error
	// RedeemVoucher is ChangeSubscription by a rule that gets what the voucher is for. It takes one use by one conditional
	// statement. ErrNotFound when there is no such voucher, it is used up or expired, or the user has redeemed it already.
	RedeemVoucher(ctx context.Context, userID int64, hash TokenHash, rule GiftRule, a Audit) (Subscription, error)
	// ResetTraffic sets the counter of a period that ended at or before now, or that never had an end, to zero and its next
	// end; it changes nothing when the period was reset already.
	ResetTraffic(ctx context.Context, userID int64, now, nextResetAt time.Time) error
	// UsersDue returns users whose keys may carry a wrong deadline: the traffic period is over, the quota is used up while
	// a live key goes on, or what deadlines follow from changed since RefreshKeys. At most limit.
	UsersDue(ctx context.Context, now time.Time, limit int) ([]int64, error)
	// SpreadDue notes as due (UsersDue) the next limit of those who are subscribed to a changed plan or have a live key on a server
	// of another tier than before. more tells that there may be more of them.
	SpreadDue(ctx context.Context, limit int) (more bool, err error)
	// Glance counts accounts, and subscriptions by their state now. It names the first of those that end until soon.
	Glance(ctx context.Context, now, soon time.Time, limit int) (Glance, error)
}

// ServerStore keeps servers.
type ServerStore interface {
	// AddServer makes a server and its node's empty set of keys. ErrTaken when the name is in use.
	AddServer(ctx context.Context, s Server, a Audit) (Server, error)
	// Servers returns all servers in the order of their ids.
	Servers(ctx context.Context) ([]Server, error)
	// UpdateServer replaces a server's values by its id; the ports only where the node takes no configuration. If that changes its
	// tier, all who have a live key on it become due (SpreadDue). ErrNotFound, ErrTaken.
	UpdateServer(ctx context.Context, s Server, a Audit) error
	// SetServerState changes what is wanted of a server. ErrNotFound.
	SetServerState(ctx context.Context, id int64, state ServerState, a Audit) error
	// RemoveServer deletes a server; its keys become tombstones, some at a time. With an error, the server may be gone and
	// EntombRemoved has the rest to do. ErrNotFound.
	RemoveServer(ctx context.Context, id int64, a Audit) ([]NodeRev, error)
}

// KeyStore keeps access keys, seeds sealed.
type KeyStore interface {
	// DeviceKey returns the live key of a device on a server, or ErrNotFound.
	DeviceKey(ctx context.Context, deviceID, serverID int64) (Key, error)
	// DeviceKeys returns all live keys of a device.
	DeviceKeys(ctx context.Context, deviceID int64) ([]Key, error)
	// Key returns a live key by id, or ErrNotFound.
	Key(ctx context.Context, id int64) (Key, error)
	// DeviceServers returns the ids of the servers on which the device has a live key.
	DeviceServers(ctx context.Context, deviceID int64) ([]int64, error)
	// IssueKey makes a key, or returns the live one unless k.Rotate, on what k.Terms says within the transaction: nobody
	// changes the user, the subscription, the plan or the server between that and the commit. ErrNotFound when the device
	// is no longer signed in or the server is gone; the refusal of k.Terms.
	IssueKey(ctx context.Context, k NewKey, a Audit) (key Key, err error)
	// RefreshKeys gives all live keys of a user these terms, each by the tier that its server has in the same transaction,
	// and returns the nodes where that changed something.
	RefreshKeys(ctx context.Context, userID int64, terms KeyTerms) ([]NodeRev, error)
	// UserKeys returns the live keys of a user's devices, by device and server, without their seeds.
	UserKeys(ctx context.Context, userID int64) ([]Key, error)
	// UserUsage returns the traffic of a user by day, the latest first, at most days of them.
	UserUsage(ctx context.Context, userID int64, days int) ([]DayUsage, error)
}

// DayUsage is the traffic of one day (midnight UTC), in bytes.
type DayUsage struct {
	Day  time.Time
	Up   int64
	Down int64
}

// NodeStore is what the hub reads and writes for the nodes.
type NodeStore interface {
	// NodePosition returns where a node's set stands, or ErrNotFound.
	NodePosition(ctx context.Context, nodeID int64) (NodePosition, error)
	// NodeChanges returns up to limit keys and tombstones with a revision above after, in the order of their revisions,
	// and the position, both read in one snapshot. All rows of one revision come together, over the limit if need be.
	NodeChanges(ctx context.Context, nodeID, after int64, limit int) ([]NodeKey, NodePosition, error)
	// NodeSnapshot calls yield for each live key and each tombstone in the order of the ids and returns the position, all
	// read in one snapshot. An error of yield ends it.
	NodeSnapshot(ctx context.Context, nodeID int64, yield func(NodeKey) error) (NodePosition, error)
	// RaiseEpoch raises the database's epoch above the one given and the present one, and every node's revision. Keys made
	// from then on have ids that none before can have had.
	RaiseEpoch(ctx context.Context, above int64, a Audit) (int64, error)
	// EntombKeys makes those of a node's keys tombstones that live, as one revision, and returns how many they were. Ids
	// that are unknown or of other nodes are passed over. ErrNotFound when there is no such node.
	EntombKeys(ctx context.Context, nodeID int64, ids []int64, a Audit) (int, error)
	// EntombRemoved makes the next of those keys tombstones that RemoveServer left, and returns which node that changed; nil when
	// none is left.
	EntombRemoved(ctx context.Context) ([]NodeRev, error)
	// CompactTombstones removes tombstones of a node that it has confirmed, by their revision, and that were made before an
	// instant. It returns how many; there may be more.
	CompactTombstones(ctx context.Context, nodeID, acked int64, before time.Time) (int, error)
	// NoteStreams writes how the newest streams of nodes are, for operators, where no replicas publish that.
	NoteStreams(ctx context.Context, streams []NodeStream) error
	// NodeRevs returns the revision of every node.
	NodeRevs(ctx context.Context) ([]NodeRev, error)
	// ConfiguredNode returns what is wanted of a node, or ErrNotFound when it takes no configuration.
	ConfiguredNode(ctx context.Context, nodeID int64) (ConfiguredNode, error)
	// PendingConfigs returns the nodes that have neither served nor refused what is wanted, with its revision.
	PendingConfigs(ctx context.Context) ([]NodeRev, error)
	// UsageCursor returns the last applied number of each of a node's streams.
	UsageCursor(ctx context.Context, nodeID int64) (map[uint64]uint64, error)
	// CompactCursors removes the cursors of those of a node's streams without a report since an instant of which the node
	// holds no report either, and returns how many. Nobody can ask for them again.
	CompactCursors(ctx context.Context, nodeID int64, held []uint64, before time.Time) (int, error)
	// ForgetCursors removes the cursors of servers that were removed before an instant.
	ForgetCursors(ctx context.Context, before time.Time) error
	// ApplyUsage books a report iff its number follows the stream's cursor (a new stream starts at 1), in one
	// transaction with the cursor. It returns the cursor after the call, whether the report was booked, and the users
	// it took over their quota. Entries of unknown keys are dropped.
	ApplyUsage(ctx context.Context, r UsageReport, today time.Time) (cursor uint64, applied bool, exceeded []int64, err error)
}

// ConfigStore keeps what nodes are configured to serve.
type ConfigStore interface {
	// NoteServing writes what a node says of itself, and gives its server the ports that it serves. Where that is new, a running
	// roll-out that it refuses is stopped, which is the audit entry, and returned. ErrNotFound without the server.
	NoteServing(ctx context.Context, nodeID int64, s NodeServing, a Audit) (node ConfiguredNode, stopped int64, err error)
	// ConfiguredNodes returns all nodes that take configurations, in the order of their ids.
	ConfiguredNodes(ctx context.Context) ([]ConfiguredNode, error)
	// Rollouts returns roll-outs with a revision below before (0 = the newest), the newest first, at most limit.
	Rollouts(ctx context.Context, before int64, limit int) ([]Rollout, error)
	// ChangeRollout does what a rule says, or returns the rule's refusal. Without a change nothing is written, no audit entry
	// either; the entry's subject is the newest revision.
	ChangeRollout(ctx context.Context, rule RolloutRule, a Audit) error
}

// MembershipStore keeps who may link as a node.
type MembershipStore interface {
	// Authority returns the CA of the link to the nodes, its key unsealed, or ErrNotFound.
	Authority(ctx context.Context) (Authority, error)
	// KeepAuthority keeps a CA unless there is one, and returns the one that is kept.
	KeepAuthority(ctx context.Context, a Authority) (Authority, error)
	// SetNodesURL notes where the service listens for nodes. ErrNotFound when there is no CA.
	SetNodesURL(ctx context.Context, url string) error
	// SetJoinToken replaces the join token of a server's node and its deadline. ErrNotFound when there is no such server.
	SetJoinToken(ctx context.Context, nodeID int64, hash TokenHash, expiresAt time.Time, a Audit) error
	// RedeemJoin makes the holder of a key the node, by one conditional statement: iff the token matches, and is in time
	// and unused, or was used with the same key less than JoinRetry ago. ErrNotFound when it does not match, else
	// ErrTokenUsed or ErrTokenExpired.
	RedeemJoin(ctx context.Context, j Joining, a Audit) error
	// NodeIdentity returns what is known of a node, or ErrNotFound. It is asked on each request of a node.
	NodeIdentity(ctx context.Context, nodeID int64) (NodeIdentity, error)
	// NodeIdentities returns all of them in the order of their ids.
	NodeIdentities(ctx context.Context) ([]NodeIdentity, error)
	// SetNodeCertified notes until when a member is certified. ErrNotFound when it is none, or not with this key.
	SetNodeCertified(ctx context.Context, nodeID int64, key NodeKeyHash, until time.Time) error
	// NodeStreams returns how the nodes were that ever linked, in the order of their ids: what NoteStreams or
	// Replicas.Publish wrote.
	NodeStreams(ctx context.Context) ([]NodeStream, error)
	// RevokeNode ends a membership and the node's join token. ErrNotFound when the node is unknown.
	RevokeNode(ctx context.Context, nodeID int64, a Audit) error
}

// SetupStore keeps the one-time link with which the first operator sets the service up.
type SetupStore interface {
	// HasOperator reports whether any operator exists.
	HasOperator(ctx context.Context) (bool, error)
	// SetSetupToken replaces the hash of the set-up link and its deadline.
	SetSetupToken(ctx context.Context, hash TokenHash, expiresAt time.Time) error
	// HoldsSetup reports whether RedeemSetup would take this hash now.
	HoldsSetup(ctx context.Context, hash TokenHash) (bool, error)
	// RedeemSetup makes the first operator, iff the hash matches, is in time and unused, by one conditional statement.
	// ErrNotFound otherwise.
	RedeemSetup(ctx context.Context, hash TokenHash, u NewUser, a Audit) (User, error)
}

// ResetStore keeps the links with which users set a new password.
type ResetStore interface {
	// SetPasswordReset replaces the hash of a user's link and its deadline. ErrNotFound.
	SetPasswordReset(ctx context.Context, userID int64, hash TokenHash, expiresAt time.Time, a Audit) error
	// PasswordReset returns whose link this is and its deadline, or ErrNotFound.
	PasswordReset(ctx context.Context, hash TokenHash) (userID int64, expiresAt time.Time, err error)
	// RedeemPasswordReset sets the password and signs the user out everywhere, or, with keepDevices, in browsers alone, iff the
	// hash matches, is in time and unused, by one conditional statement. The audit entry is the user's. ErrNotFound otherwise.
	RedeemPasswordReset(ctx context.Context, hash TokenHash, passwordHash string, keepDevices bool, a Audit) (userID int64, changed []NodeRev, err error)
}

// SignUpStore keeps invitations, and sign-ups whose mail is not answered yet.
type SignUpStore interface {
	// AddInvitation makes an invitation. ErrNotFound when its plan is gone.
	AddInvitation(ctx context.Context, i Invitation, hash TokenHash, a Audit) (Invitation, error)
	// Invitations returns invitations with an id below before (0 = the newest), the newest first, at most limit.
	Invitations(ctx context.Context, before int64, limit int) ([]Invitation, error)
	// Invitation returns the one with this hash, whether it holds or not, or ErrNotFound.
	Invitation(ctx context.Context, hash TokenHash) (Invitation, error)
	// RemoveInvitation deletes an invitation, or returns ErrNotFound.
	RemoveInvitation(ctx context.Context, id int64, a Audit) error
	// HoldsVoucher reports whether a voucher has a use left now.
	HoldsVoucher(ctx context.Context, hash TokenHash) (bool, error)
	// AddSignUp keeps a sign-up, and deletes those that are late and the oldest of the same e-mail above limit.
	AddSignUp(ctx context.Context, p PendingSignUp, hash TokenHash, limit int) error
	// PendingSignUp returns the one with this hash, late or not, or ErrNotFound.
	PendingSignUp(ctx context.Context, hash TokenHash) (PendingSignUp, error)
	// SignUp makes an account and uses up what it comes by, each by one conditional statement, or does nothing. rule gets what
	// the invitation and the voucher are for. ErrTaken when the e-mail is in use; ErrNotFound for the pending sign-up,
	// CodeInvitationInvalid and CodeVoucherInvalid for those.
	SignUp(ctx context.Context, n NewSignUp, rule GiftRule, a Audit) (User, error)
}

// SettingsStore keeps the settings.
type SettingsStore interface {
	// Settings returns those that were kept last, the zero Settings when none were.
	Settings(ctx context.Context) (Settings, error)
	// SetSettings replaces them all.
	SetSettings(ctx context.Context, v Settings, a Audit) error
}

// AnswerStore keeps first answers, sealed, so that a request that comes again is answered again and not done again.
type AnswerStore interface {
	// ClaimAnswer takes a user's name for a request, by one conditional statement, unless it was taken at or after since;
	// then it returns what is kept.
	ClaimAnswer(ctx context.Context, userID int64, name string, digest [32]byte, since time.Time) (Answer, error)
	// KeepAnswer completes a claim.
	KeepAnswer(ctx context.Context, userID int64, name string, digest [32]byte, body []byte) error
	// DropAnswer gives up a claim that is not complete.
	DropAnswer(ctx context.Context, userID int64, name string) error
	// ForgetAnswers deletes those claimed before an instant.
	ForgetAnswers(ctx context.Context, before time.Time) error
}

// Answer is what ClaimAnswer finds.
type Answer struct {
	// IsMine: the name is the caller's now. Otherwise IsSame tells that the first request had the same digest, IsDone that it
	// was answered, and Body is that answer.
	IsMine, IsSame, IsDone bool
	Body                   []byte
}

// StatsStore sums up.
type StatsStore interface {
	// Counts counts accounts, subscriptions and devices. It may take long and ends with its context.
	Counts(ctx context.Context, now time.Time) (Counts, error)
	// Traffic returns the traffic by day and node since a day, in this order.
	Traffic(ctx context.Context, since time.Time) ([]NodeDay, error)
}

// ImportStore takes what comes from another application. An import takes at most 256 rows at a time and returns an
// outcome for each; with dry, nothing is written.
type ImportStore interface {
	// ImportUsers makes accounts with the ids that they had, or other ones where those are taken.
	ImportUsers(ctx context.Context, users []ImportedUser, dry bool, a Audit) ([]ImportOutcome, error)
	// ImportTokens makes API tokens of imported accounts, with the ids that they had or other ones. A dry run takes users
	// for there that are not.
	ImportTokens(ctx context.Context, tokens []ImportedToken, dry bool, a Audit) ([]ImportOutcome, error)
	// SubscribeImported gives s, but for its UserID, to those of the next thousands of imported accounts after an id that have no
	// subscription. It returns to how many, and the last id that was looked at, 0 when none is left.
	SubscribeImported(ctx context.Context, s Subscription, after int64, a Audit) (n, last int64, err error)
	// AdoptToken makes a device of the token's name for an imported token that has none, in a free slot, and returns it or
	// the one it has. ErrDeviceLimit when no slot is free, ErrNotFound when there is no such token.
	AdoptToken(ctx context.Context, tokenID int64, p Platform, deviceLimit int, a Audit) (Device, error)
}

// Audit is one entry of the audit log: who did what to what. It never holds an address.
type Audit struct {
	ID int64
	// ActorID is the user who acted; 0 is the command line or the program itself.
	ActorID int64
	// Action is noun.verb: user.add, device.remove, key.issue.
	Action string
	// SubjectID is the id of the noun, 0 when the entry's own change makes it (the store fills it in).
	SubjectID int64
	// UserID is the user whom the change concerns where that is not the subject. Events carry it; the log does not keep it.
	UserID int64
	// JobID is the job that the change is part of: it is done for the subject then. The log does not keep it.
	JobID int64
	At    time.Time
}

// AuditStore reads the audit log and keeps its chain.
type AuditStore interface {
	// Note writes an entry of something that changed nothing.
	Note(ctx context.Context, a Audit) error
	// UserAudit is AuditLog of what an account did and what was done to it, but for the keys that its devices asked for.
	UserAudit(ctx context.Context, userID, before int64, limit int) ([]Audit, error)
	// AnchorAudit puts up to 1,000 more entries under the chain: those before which no other can come any more. isDone tells
	// that there are no more of them now.
	AnchorAudit(ctx context.Context) (isDone bool, err error)
	// VerifyAudit reads all entries under the chain, in their order, and holds them against it. yield gets those that hold
	// with the hash after each, unless it is nil; its error ends the reading.
	VerifyAudit(ctx context.Context, yield func(Audit, AuditHash) error) (AuditChain, error)
	// AuditLog returns entries with an id below before (0 = the newest), the newest first, at most limit.
	AuditLog(ctx context.Context, before int64, limit int) ([]Audit, error)
}
