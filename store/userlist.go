package store

import (
	"context"
	"strconv"
	"strings"

	"stile/vpn"
)

// searchWindow is how many accounts one page of a search looks at, so that a page that finds nothing ends soon.
const searchWindow = 20_000

// likeEscaper makes a text match itself in a LIKE pattern.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Users implements vpn.UserStore. One filter leads, by its index and in its order: the beginning of the e-mail, else the
// expiry, else the plan, else the id.
func (s *Store) Users(ctx context.Context, f vpn.UserFilter) (vpn.UserPage, error) {
	q := userQuery{where: make([]string, 0, 8)}
	last, err := q.lead(ctx, s, &f)
	if err != nil {
		return vpn.UserPage{}, err
	}
	switch f.Status { // as literals: an index of some rows serves only who names them
	case vpn.UserBlocked:
		q.add("a.status = 'blocked'")
	case vpn.UserActive:
		q.add("a.status = 'active'")
	}
	if f.IsStaff {
		q.add("a.role <> ''")
	}
	if f.Search != "" {
		q.add("a.search_text LIKE " + q.arg("%"+likeEscaper.Replace(strings.ToLower(f.Search))+"%") + ` ESCAPE '\'`)
	}
	rows, err := s.scan(ctx).rows(`
		SELECT`+userColumns+`
		FROM `+q.from+`
		WHERE `+strings.Join(q.where, `
			AND `)+`
		ORDER BY `+q.order+`
		LIMIT `+q.arg(f.Limit+1), q.args...)
	users, err := list(rows, err, scanUser)
	if err != nil {
		return vpn.UserPage{}, err
	}
	page := vpn.UserPage{Users: users, Next: last}
	if len(users) > f.Limit {
		page.Users = users[:f.Limit]
		page.Next = users[f.Limit-1].ID
	}
	return page, nil
}

// userQuery is a SELECT to be.
type userQuery struct {
	from, order string
	where       []string
	args        []any
}

// arg takes a value and returns its parameter.
func (q *userQuery) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *userQuery) add(condition string) { q.where = append(q.where, condition) }

// lead decides which index is followed and where the page begins in its order. last is where the next page begins though
// this one is not full: the end of what a search looks at; 0 = nowhere.
func (q *userQuery) lead(ctx context.Context, s *Store, f *vpn.UserFilter) (last int64, err error) {
	q.from, q.order = "account a", "a.id"
	byExpiry := f.EmailPrefix == "" && (!f.ExpiresAfter.IsZero() || !f.ExpiresBefore.IsZero())
	if f.PlanID != 0 || !f.ExpiresAfter.IsZero() || !f.ExpiresBefore.IsZero() {
		q.from = "subscription s JOIN account a ON a.id = s.user_id"
		if f.PlanID != 0 {
			q.add("s.plan_id = " + q.arg(f.PlanID))
		}
		if !f.ExpiresBefore.IsZero() {
			q.add("s.expires_at < " + q.arg(millis(f.ExpiresBefore)))
		}
	}
	switch {
	case f.EmailPrefix != "":
		if !f.ExpiresAfter.IsZero() || !f.ExpiresBefore.IsZero() {
			q.add("s.expires_at >= " + q.arg(max(millis(f.ExpiresAfter), 1)))
		}
		const email = "a.email {{bytewise}}"
		q.order = email
		q.add(email + " < " + q.arg(f.EmailPrefix+"\U0010FFFF"))
		// One bound below: of two, SQLite would follow the first.
		if f.After == 0 {
			q.add(email + " >= " + q.arg(f.EmailPrefix))
			break
		}
		q.add(email + " > (SELECT MAX(e {{bytewise}}) FROM (SELECT email AS e FROM account WHERE id = " + q.arg(f.After) +
			" UNION ALL SELECT CAST(" + q.arg(f.EmailPrefix) + " AS TEXT)) AS bounds)")
	case byExpiry:
		q.order = "s.expires_at, s.user_id"
		from := max(millis(f.ExpiresAfter), 1)
		if f.After == 0 {
			q.add("s.expires_at >= " + q.arg(from))
			break
		}
		after := q.arg(f.After)
		q.add("(s.expires_at, s.user_id) > ((SELECT MAX(e) FROM (SELECT expires_at AS e FROM subscription WHERE user_id = " + after +
			" UNION ALL SELECT CAST(" + q.arg(from) + " AS BIGINT)) AS bounds), " + after + ")")
	case f.PlanID != 0:
		q.order = "s.user_id"
		q.add("s.user_id > " + q.arg(f.After))
		if f.Search != "" {
			return q.window(ctx, s, f.After)
		}
	default:
		q.add("a.id > " + q.arg(f.After))
		if f.Search != "" && f.Status != vpn.UserBlocked && !f.IsStaff {
			return q.window(ctx, s, f.After)
		}
	}
	return 0, nil
}

// window bounds a search by id to as many accounts as one page looks at.
func (q *userQuery) window(ctx context.Context, s *Store, after int64) (last int64, err error) {
	rows, err := s.scan(ctx).rows(`
		SELECT id
		FROM account
		WHERE id > $1
		ORDER BY id
		LIMIT 1 OFFSET $2`, after, searchWindow-1)
	ends, err := list(rows, err, scanID)
	if err != nil || len(ends) == 0 {
		return 0, err
	}
	q.add("a.id <= " + q.arg(ends[0]))
	return ends[0], nil
}
