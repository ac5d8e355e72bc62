package vpn

import (
	"context"
	"time"
)

// answerTTL is how long a request that comes again under its key gets its first answer.
const answerTTL = 24 * time.Hour

// FirstAnswer claims a key for an actor's request, of which digest is of the route and the body. It returns the first answer
// to the same request, or claims and returns nil: then KeepAnswer or DropAnswer must follow. CodeKeyReused when the key was
// used for another request, CodeKeyInUse while the first one is not answered: also when the process that did it died, because
// then nobody knows whether it was done.
func (s *Service) FirstAnswer(ctx context.Context, a *Actor, key string, digest [32]byte) ([]byte, error) {
	first, err := s.store.ClaimAnswer(ctx, a.User.ID, key, digest, s.now().Add(-answerTTL))
	switch {
	case err != nil || first.IsMine:
		return nil, err
	case !first.IsSame:
		return nil, Refusal(CodeKeyReused)
	case !first.IsDone:
		return nil, &Error{Code: CodeKeyInUse, RetryAfter: time.Second}
	default:
		return first.Body, nil
	}
}

// KeepAnswer completes FirstAnswer. Whoever hung up does not keep it from that.
func (s *Service) KeepAnswer(ctx context.Context, a *Actor, key string, digest [32]byte, answer []byte) error {
	return s.store.KeepAnswer(context.WithoutCancel(ctx), a.User.ID, key, digest, answer)
}

// DropAnswer gives a claim up: the request was refused and changed nothing.
func (s *Service) DropAnswer(ctx context.Context, a *Actor, key string) error {
	return s.store.DropAnswer(context.WithoutCancel(ctx), a.User.ID, key)
}

// ForgetAnswers deletes first answers that are too old to be asked for.
func (s *Service) ForgetAnswers(ctx context.Context) error {
	return s.store.ForgetAnswers(ctx, s.now().Add(-answerTTL))
}
