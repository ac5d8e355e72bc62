package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"stile/internal/laravel"
	"stile/store"
	"stile/vpn"
)

// ImportCmd is `stile import`.
type ImportCmd struct {
	Laravel ImportLaravelCmd `cmd:"" help:"Bring accounts, passwords and tokens from a Laravel application: nobody is signed out."`
}

// ImportLaravelCmd is `stile import laravel`.
type ImportLaravelCmd struct {
	databaseFlags
	From  string `required:"" placeholder:"SOURCE" help:"A mysqldump file (also gzipped), an SQLite file, or postgres://USER:PASSWORD@HOST/NAME. It is only read."`
	Plan  string `placeholder:"CODE" help:"Subscribe imported accounts that have no subscription to this plan for one period."`
	Apply bool   `help:"Do it. Without this nothing is changed: what would happen is printed."`
	JSON  bool   `name:"json" help:"Print the report as JSON."`
}

// importBatch is how many rows share a transaction.
const importBatch = 256

// Run prints what would be imported, or imports it. An import that was interrupted goes on when it is run again.
func (c *ImportLaravelCmd) Run(ctx context.Context, t *Terminal) error {
	from, err := laravel.Open(ctx, c.From)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	err = c.useOrMake(ctx, t, func(_ *store.Store, s *vpn.Service) error {
		run := &laravelImport{service: s, from: from, dry: !c.Apply, plan: c.Plan, terminal: t, startedAt: time.Now()}
		if err := run.all(ctx); err != nil {
			return err
		}
		if c.JSON {
			return t.printJSON(run.report())
		}
		run.print()
		return nil
	})
	return errors.Join(err, from.Close())
}

// laravelImport is a running import.
type laravelImport struct {
	service   *vpn.Service
	from      laravel.Application
	dry       bool
	plan      string
	terminal  *Terminal
	startedAt time.Time
	notedAt   time.Time

	users, tokens tally
	subscribed    int64
	// accepted are the ids, there, of the users that are here now: only their tokens are taken.
	accepted []int64
}

// tally counts outcomes of one table, with examples of what is left.
type tally struct {
	Read     int                       `json:"read"`
	Outcomes map[vpn.ImportOutcome]int `json:"outcomes"`
	Examples []string                  `json:"left_examples"`
}

// maxExamples is how many rows that are left are named.
const maxExamples = 20

func (c *tally) count(o vpn.ImportOutcome, row string) {
	if c.Outcomes == nil {
		c.Outcomes = map[vpn.ImportOutcome]int{}
	}
	c.Read++
	c.Outcomes[o]++
	if o.IsLeft() && len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, row+": "+strings.TrimPrefix(string(o), "left: "))
	}
}

// importUnreadable is the outcome of a row that is no account or token.
const importUnreadable vpn.ImportOutcome = "left: cannot be read"

func (c *tally) unreadable(fault *laravel.RowError) {
	c.count(importUnreadable, "")
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, clean(fault.Error()))
	}
}

// all imports the users and then their tokens.
func (r *laravelImport) all(ctx context.Context) error {
	if r.plan != "" {
		plans, err := r.service.Plans(ctx, shell)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(plans, func(p vpn.Plan) bool { return p.Code == r.plan }) {
			return fmt.Errorf("--plan: no plan %q; `stile plan list` shows them", r.plan)
		}
	}
	if err := inBatches(r.from.Users(ctx), &r.users, func(users []laravel.User) error { return r.takeUsers(ctx, users) }); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	slices.Sort(r.accepted)
	if err := inBatches(r.from.Tokens(ctx), &r.tokens, func(tokens []laravel.Token) error { return r.takeTokens(ctx, tokens) }); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if r.plan == "" || r.dry {
		return nil
	}
	var err error
	if r.subscribed, err = r.service.SubscribeImported(ctx, shell, r.plan); err != nil {
		return fmt.Errorf("subscriptions: %w", err)
	}
	return nil
}

// inBatches hands the rows of a table on, some at a time, and counts those that cannot be read.
func inBatches[T any](rows iter.Seq2[T, error], c *tally, take func([]T) error) error {
	batch := make([]T, 0, importBatch)
	for row, err := range rows {
		if fault, ok := errors.AsType[*laravel.RowError](err); ok {
			c.unreadable(fault)
			continue
		}
		if err != nil {
			return err
		}
		if batch = append(batch, row); len(batch) == importBatch {
			if err := take(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return take(batch)
}

func (r *laravelImport) takeUsers(ctx context.Context, batch []laravel.User) error {
	users := make([]vpn.ImportedUser, len(batch))
	for i, u := range batch {
		users[i] = vpn.ImportedUser{
			ID: u.ID, Name: u.Name, Email: u.Email, PasswordHash: u.Password, VerifiedAt: u.VerifiedAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		}
	}
	outcomes, err := r.service.ImportUsers(ctx, shell, users, r.dry)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		r.users.count(o, fmt.Sprintf("users %d", users[i].ID))
		if !o.IsLeft() {
			r.accepted = append(r.accepted, users[i].ID)
		}
	}
	r.progress("users", &r.users)
	return nil
}

func (r *laravelImport) takeTokens(ctx context.Context, batch []laravel.Token) error {
	var tokens []vpn.ImportedToken
	for _, k := range batch {
		if _, ok := slices.BinarySearch(r.accepted, k.UserID); !ok {
			r.tokens.count(vpn.ImportNoUser, fmt.Sprintf("personal_access_tokens %d", k.ID))
			continue
		}
		tokens = append(tokens, vpn.ImportedToken{
			ID: k.ID, UserID: k.UserID, Hash: k.Hash, Name: k.Name, LastUsedAt: k.LastUsedAt, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		})
	}
	outcomes, err := r.service.ImportTokens(ctx, shell, tokens, r.dry)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		r.tokens.count(o, fmt.Sprintf("personal_access_tokens %d", tokens[i].ID))
	}
	r.progress("tokens", &r.tokens)
	return nil
}

// progress says each second how far it is.
func (r *laravelImport) progress(what string, c *tally) {
	if now := time.Now(); now.Sub(r.notedAt) >= time.Second {
		r.notedAt = now
		r.terminal.notef("%s: %d read, %.0f %% of the source, %s\n", what, c.Read, 100*r.from.Progress(), now.Sub(r.startedAt).Round(time.Second))
	}
}

// importReport is the outcome of an import.
type importReport struct {
	IsDryRun bool   `json:"dry_run"`
	Users    *tally `json:"users"`
	Tokens   *tally `json:"tokens"`
	// Subscribed is how many accounts were given the plan.
	Subscribed int64    `json:"subscribed"`
	NotRead    []string `json:"not_read"`
}

func (r *laravelImport) report() importReport {
	return importReport{IsDryRun: r.dry, Users: &r.users, Tokens: &r.tokens, Subscribed: r.subscribed, NotRead: r.from.Left()}
}

// print writes the report for people.
func (r *laravelImport) print() {
	for _, table := range []struct {
		name string
		*tally
	}{{"users", &r.users}, {"personal_access_tokens", &r.tokens}} {
		r.terminal.printf("%s: %d read\n", table.name, table.Read)
		for _, o := range slices.Sorted(maps.Keys(table.Outcomes)) {
			r.terminal.printf("  %8d  %s\n", table.Outcomes[o], o)
		}
		for _, example := range table.Examples {
			r.terminal.printf("            %s\n", example)
		}
	}
	if left := r.from.Left(); len(left) > 0 {
		r.terminal.printf("Not read: %s\n", clean(strings.Join(left, ", ")))
	}
	if r.dry {
		r.terminal.printf("Nothing was changed. Run it again with --apply to import.\n")
		return
	}
	if r.plan != "" {
		r.terminal.printf("%d accounts were subscribed to %s.\n", r.subscribed, r.plan)
	}
	r.terminal.printf("Imported in %s.\n", time.Since(r.startedAt).Round(time.Millisecond))
}
