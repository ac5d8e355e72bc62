package store_test

import (
	"slices"
	"testing"

	"stile/accesskey"
	"stile/vpn"
)

// A process that ends while it removes a server leaves keys, and whoever comes next makes an end of them.
func TestKeysOfARemovedServerDieAllTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer s.Close()
		h := setup(t, s)
		key, err := s.IssueKey(t.Context(), h.newKey(accesskey.Seed{1}), vpn.Audit{Action: "key.issue"})
		ok(t, err)
		left, err := s.EntombRemoved(t.Context())
		ok(t, err)
		if left != nil {
			t.Fatalf("a server that is there: %v", left)
		}
		for _, text := range []string{"DELETE FROM server", "UPDATE node_sync SET removed_at = 1"} {
			_, err := raw(t, dsn).Exec(text)
			ok(t, err)
		}
		left, err = s.EntombRemoved(t.Context())
		ok(t, err)
		if !slices.Equal(left, []vpn.NodeRev{{NodeID: h.server.ID, Rev: key.Rev + 1}}) {
			t.Errorf("changed: %v", left)
		}
		if _, err := s.Key(t.Context(), key.ID); err != vpn.ErrNotFound {
			t.Errorf("the key: %v", err)
		}
		p, err := s.NodePosition(t.Context(), h.server.ID)
		ok(t, err)
		if p.Count != 0 || p.Digest != [32]byte{} {
			t.Errorf("position: %+v", p)
		}
		left, err = s.EntombRemoved(t.Context())
		ok(t, err)
		if left != nil {
			t.Errorf("again: %v", left)
		}
	})
}
