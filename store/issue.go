package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"stile/vpn"
)

// issue is one caller of IssueKey.
type issue struct {
	in    vpn.NewKey
	audit vpn.Audit
	key   vpn.Key
	err   error
	// isLook: whether there is a live key is looked up, whatever the caller says.
	isLook bool
}

// looks reports that a live key is looked for.
func (i *issue) looks() bool { return i.isLook || !i.in.IsNew }

// errKeyThere is a live key that was said not to be there.
var errKeyThere = errors.New("a live key was made meanwhile")

// pair is what has at most one live key.
type pair struct{ deviceID, serverID int64 }

func (i *issue) pair() pair { return pair{i.in.DeviceID, i.in.ServerID} }

// IssueKey implements vpn.KeyStore. A live key with another deadline or other limits is brought up to date.
func (s *Store) IssueKey(ctx context.Context, k vpn.NewKey, a vpn.Audit) (vpn.Key, error) {
	i := &issue{in: k, audit: a}
	if err := s.writer.do(ctx, &task{name: "issue key", issue: i, done: make(chan error, 1)}); err != nil {
		return vpn.Key{}, err
	}
	return i.key, nil
}

const (
	// maxIssues bounds the keys of one merged statement.
	maxIssues = 64
	// keyIDBlock is how many ids are reserved at once. What is left of a block when the process ends is never used.
	keyIDBlock = 4096
)

// reserveKeyIDs makes sure that the process owns so many ids, by a transaction of its own: an id must not come back
// when the transaction that used it is undone.
func (w *writer) reserveKeyIDs(n int) error {
	if w.keyIDs.end-w.keyIDs.next >= int64(n) {
		return nil
	}
	stmt, err := w.prepared(`
		UPDATE counter
		SET next_id = next_id + $1
		WHERE name = 'access_key'
		RETURNING next_id`)
	if err != nil {
		return err
	}
	var end int64
	err = w.store.dialect.patiently(func() error { return stmt.QueryRowContext(w.ctx, keyIDBlock).Scan(&end) })
	if err != nil {
		return err
	}
	w.keyIDs = block{next: end - keyIDBlock, end: end}
	return nil
}

// issueAll serves consecutive issues; isAll: the transaction has no other tasks.
func (t *tx) issueAll(tasks []*task, isAll bool) error {
	for len(tasks) > 0 {
		n := judgedTogether(tasks)
		if err := t.issueTogether(tasks[:n], isAll && n == len(tasks)); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	return nil
}

// judgedTogether is how many of the first tasks are issues for different devices or servers: an issue that changes the
// live key of a device and server must be done before the next one for the same is judged, which then looks for it.
func judgedTogether(tasks []*task) (n int) {
	seen := map[pair]bool{}
	for n < len(tasks) && n < maxIssues && tasks[n].issue != nil {
		i := tasks[n].issue
		if seen[i.pair()] {
			i.isLook = true
			break
		}
		seen[i.pair()] = true
		n++
	}
	return n
}

// issuing is the work of issues for different devices or servers.
type issuing struct {
	*tx
	standings map[int64]*standing // by user; nil = there is none
	owners    map[int64]int64     // device → user
	tiers     map[int64]int       // by server
	nodes     map[int64]*node
	live      map[pair]*vpn.Key
	keys      []any // rows of access_key
	audits    []any // rows of audit
}

// standing is a user with the subscription and its plan.
type standing struct {
	user        vpn.User
	entitlement vpn.Entitlement
}

// issueTogether serves issues for different devices or servers; isLast: nothing follows them in the transaction.
func (t *tx) issueTogether(tasks []*task, isLast bool) error {
	w := issuing{tx: t}
	if err := w.look(tasks); err != nil {
		return err
	}
	for _, task := range tasks {
		if err := w.issue(task.issue); err != nil {
			return err
		}
	}
	if len(w.audits) == 0 {
		return nil // nothing changed
	}
	writes := []statement{
		t.insertion(&saveNodes, nodeValues, nodeRows(w.nodes)),
		t.insertion(&insertAudits, 4, w.audits),
	}
	if len(w.keys) > 0 {
		writes = append(writes, t.insertion(&insertKeys, keyValues, w.keys))
	}
	var err error
	if isLast {
		err = t.last(writes...)
	} else {
		err = t.together(writes...)
	}
	if t.store.dialect.isUnique(err) && slices.ContainsFunc(tasks, func(t *task) bool { return !t.issue.looks() }) {
		return errKeyThere
	}
	return err
}

var (
	holdServers = batch{0, `
	SELECT id, tier
	FROM server
	WHERE id IN (`, "?", `)
	ORDER BY id
	{{share}}`}

	holdUsers = batch{0, `
	SELECT id, status
	FROM account
	WHERE id IN (`, "?", `)
	ORDER BY id
	{{share}}`}

	deviceOwners = batch{0, `
	SELECT id, user_id
	FROM device
	WHERE id IN (`, "?", ")"}

	subscriptions = batch{0, `
	SELECT` + subscriptionColumns + `
	FROM subscription s
	WHERE s.user_id IN (`, "?", ")"}

	insertKeys = batch{0, `
	INSERT INTO access_key (id, user_id, device_id, server_id, seed, sum, up_limit, down_limit, max_sessions, not_after, rev,
		created_at, removed_at)
	VALUES `, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", ""}

	insertAudits = batch{0, `
	INSERT INTO audit (actor_id, action, subject_id, at)
	VALUES `, "(?, ?, ?, ?)", ""}
)

// keyValues is the number of parameters of a row of insertKeys.
const keyValues = 12

// look holds the servers, the users and the nodes, in this order, and reads what the issues rest on under these locks:
// whoever changes one of it changes a held row first. (A report of traffic does not; Sweep finds whom it took over a quota.)
func (w *issuing) look(tasks []*task) error {
	var users, devices, servers []any
	w.standings = make(map[int64]*standing, len(tasks))
	w.owners = make(map[int64]int64, len(tasks))
	w.tiers, w.nodes = map[int64]int{}, map[int64]*node{}
	w.live = map[pair]*vpn.Key{}
	pairs := make([]any, 0, 2*len(tasks))
	for _, task := range tasks {
		p, userID := task.issue.pair(), task.issue.in.UserID
		if _, ok := w.standings[userID]; !ok {
			w.standings[userID] = nil
			users = append(users, userID)
		}
		if _, ok := w.owners[p.deviceID]; !ok {
			w.owners[p.deviceID] = 0
			devices = append(devices, p.deviceID)
		}
		if _, ok := w.nodes[p.serverID]; !ok {
			w.nodes[p.serverID] = nil
			servers = append(servers, p.serverID)
		}
		if task.issue.looks() {
			pairs = append(pairs, p.deviceID, p.serverID)
		}
	}
	var plans []vpn.Plan
	questions := []statement{
		w.lookUp(&holdServers, nil, servers, func(row scanner) error {
			var id int64
			var tier int
			err := row.Scan(&id, &tier)
			w.tiers[id] = tier
			return err
		}),
		w.lookUp(&holdUsers, nil, users, func(row scanner) error {
			var u vpn.User
			err := row.Scan(&u.ID, &u.Status)
			w.standings[u.ID] = &standing{user: u}
			return err
		}),
		w.lookUp(&deviceOwners, nil, devices, func(row scanner) error {
			var id, userID int64
			err := row.Scan(&id, &userID)
			w.owners[id] = userID
			return err
		}),
		w.lookUp(&subscriptions, nil, users, func(row scanner) error {
			var u vpn.Subscription
			err := row.Scan(subscriptionFields(&u)...)
			if s := w.standings[u.UserID]; s != nil {
				s.entitlement.Subscription = u
			}
			return err
		}),
		statement{text: allPlans, each: func(row scanner) error {
			p, err := scanPlan(row)
			plans = append(plans, p)
			return err
		}},
		w.lookUp(&lockNodes, nil, servers, scanNodeInto(w.nodes)),
	}
	if len(pairs) > 0 {
		questions = append(questions, w.lookUpKeys(&keyOfPair, 2, pairs, func(row scanner) error {
			k, err := w.store.scanKey(row)
			w.live[pair{k.DeviceID, k.ServerID}] = &k
			return err
		}))
	}
	if err := w.together(questions...); err != nil {
		return err
	}
	w.plan(plans)
	return w.checkKeyIDs()
}

// plan gives each subscription its plan.
func (w *issuing) plan(plans []vpn.Plan) {
	byID := make(map[int64]*vpn.Plan, len(plans))
	for i := range plans {
		byID[plans[i].ID] = &plans[i]
	}
	for _, s := range w.standings {
		if s == nil {
			continue
		}
		if p := byID[s.entitlement.Subscription.PlanID]; p != nil {
			s.entitlement.Plan = *p
		}
	}
}

// issue decides one issue and notes the rows to insert.
func (w *issuing) issue(i *issue) error {
	i.key, i.err = vpn.Key{}, nil
	n, user := w.nodes[i.in.ServerID], w.standings[i.in.UserID]
	tier, isThere := w.tiers[i.in.ServerID]
	if n == nil || !isThere || user == nil || w.owners[i.in.DeviceID] != i.in.UserID {
		i.err = vpn.ErrNotFound
		return nil
	}
	var notAfter time.Time
	var limits vpn.KeyLimits
	if i.in.Terms != nil {
		notAfter, limits, i.err = i.in.Terms(&user.user, &user.entitlement, tier)
	}
	if i.err != nil {
		return nil //nolint:nilerr // a refusal is the caller's, not the transaction's
	}
	notAfter = fromMillis(millis(notAfter)) // as it will be read
	live := w.live[i.pair()]
	switch {
	case live == nil:
		n.advance()
	case i.in.Rotate:
		n.remove(sumOf(live.ID, live.Seed, live.Limits, live.NotAfter))
		if err := w.entomb(n.advance(), []any{live.ID}); err != nil {
			return err
		}
	case live.Limits == limits && live.NotAfter.Equal(notAfter):
		i.key = *live
		return nil
	default:
		if err := w.updateKey(n, live, n.advance(), notAfter, limits); err != nil {
			return err
		}
		i.key = *live
		w.noteAudit(i)
		return nil
	}
	w.add(i, n, notAfter, limits)
	w.noteAudit(i)
	return nil
}

// add makes the key of an issue and notes its row.
func (w *issuing) add(i *issue, n *node, notAfter time.Time, limits vpn.KeyLimits) {
	ids := &w.writer.keyIDs
	i.key = vpn.Key{
		ID: ids.next, UserID: i.in.UserID, DeviceID: i.in.DeviceID, ServerID: i.in.ServerID, Seed: i.in.Seed,
		Limits: limits, NotAfter: notAfter, Rev: n.rev, CreatedAt: w.now,
	}
	ids.next++
	k := &i.key
	sum := sumOf(k.ID, k.Seed, k.Limits, k.NotAfter)
	n.add(sum)
	w.keys = append(w.keys, k.ID, k.UserID, k.DeviceID, k.ServerID, w.store.seal(k.Seed[:], purposeSeed, k.ID), sum[:],
		k.Limits.UpBytesPerSecond, k.Limits.DownBytesPerSecond, k.Limits.MaxSessions, millis(k.NotAfter), k.Rev, millis(k.CreatedAt))
}

// noteAudit notes the entry of a changed key.
func (w *issuing) noteAudit(i *issue) {
	a := w.completed(i.audit, i.key.ID)
	w.audits = append(w.audits, a.ActorID, a.Action, a.SubjectID, millis(a.At))
}
