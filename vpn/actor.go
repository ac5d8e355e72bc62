package vpn

import (
	"context"
	"errors"
)

// Actor is who asks: a user with the token that proves it, or the operator at the machine's own shell.
type Actor struct {
	Token  Token
	User   User
	Device Device // zero for an API token and for a browser
	// Browser is the session of the dashboard that asks; Token and Device are zero then.
	Browser Browser
	// IsShell marks the command line on the machine itself, which may do everything; Token and User are zero then.
	IsShell bool
	// jobID is the job that the actor works on; 0 = none.
	jobID int64
}

// Shell is the operator at the machine's own shell: whoever can open the data directory.
func Shell() *Actor { return &Actor{IsShell: true} }

// audit begins an audit entry of the actor.
func (a *Actor) audit(action string, subjectID int64) Audit {
	return Audit{ActorID: a.User.ID, Action: action, SubjectID: subjectID, JobID: a.jobID}
}

// Authenticate returns who a bearer token stands for, or CodeUnauthenticated. The Actor is shared: read only.
func (s *Service) Authenticate(ctx context.Context, bearer string) (*Actor, error) {
	id, hash, ok := parseBearer(bearer)
	if !ok {
		return nil, Refusal(CodeUnauthenticated)
	}
	a, err := s.actors.get(hash, func() (*Actor, int64, error) { return s.loadActor(ctx, id, hash) })
	if errors.Is(err, ErrNotFound) {
		return nil, Refusal(CodeUnauthenticated)
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	if (id != 0 && id != a.Token.ID && !a.Token.IsImported) || (!a.Token.ExpiresAt.IsZero() && !now.Before(a.Token.ExpiresAt)) {
		return nil, Refusal(CodeUnauthenticated)
	}
	return a, nil
}

// loadActor reads a session, keeps the entitlement that comes with it, and notes the day of its use, once a day.
func (s *Service) loadActor(ctx context.Context, id int64, hash TokenHash) (*Actor, int64, error) {
	now := s.now()
	began := s.entitlements.begin(now)
	session, err := s.store.Session(ctx, id, hash)
	if err != nil {
		return nil, 0, err
	}
	e := session.Entitlement // alone, so that it does not keep the session
	s.entitlements.put(session.User.ID, &e, session.User.ID, began)
	if today := now.Truncate(day); session.Token.LastUsedDay.Before(today) {
		if err := s.store.Touch(ctx, session.Token.ID, session.Device.ID, today); err != nil {
			s.log.WarnContext(ctx, "day of last use not noted", "err", err)
		}
	}
	return &Actor{Token: session.Token, User: session.User, Device: session.Device}, session.User.ID, nil
}
