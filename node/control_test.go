package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stile/wire"
)

// answering is a connection to something that answers every request in one way.
func answering(t *testing.T, answer http.HandlerFunc) *control {
	server := httptest.NewUnstartedServer(answer)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := newControl(server.URL, nil, nil)
	t.Cleanup(c.close)
	return c
}

// A poll brings as much as fits into one body, and no more is read of what a control plane sends.
func TestPollsAreBounded(t *testing.T) {
	frame := wire.Append(nil, &wire.SnapshotChunk{Puts: make([]wire.Key, wire.MaxItems)})
	for count, isTaken := range map[int]bool{wire.MaxNodeBody / len(frame): true, wire.MaxNodeBody/len(frame) + 1: false, 400: false} {
		sent := 0
		l := newLink(t.Context(), answering(t, func(w http.ResponseWriter, _ *http.Request) {
			for ; sent < count; sent++ {
				if _, err := w.Write(frame); err != nil {
					return
				}
			}
		}))
		frames, err := l.poll()
		if (err == nil) != isTaken || isTaken && len(frames) != count || len(frames) > wire.MaxNodeBody/len(frame) {
			t.Errorf("of %d frames %d were taken: %v", count, len(frames), err)
		}
		l.cancel(io.EOF)
	}
}

// What is asked before it is known who answers may come from anybody: nothing of it reaches a terminal as it is.
func TestARefusalPrintsNothingButWords(t *testing.T) {
	for code, want := range map[string]string{
		wire.NodeTokenUsed: wire.NodeTokenUsed, "of_a_later_version2": "of_a_later_version2", "": "", "\u001b[2J": "", "two\nlines": "", "Ünïcode": "",
		strings.Repeat("a", 64): strings.Repeat("a", 64), strings.Repeat("a", 65): "",
	} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(wire.NodeProblem{Code: code})
		})
		_, err := c.ask(context.Background(), wire.PathControl, nil, new(wire.ControlPlane))
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Code != want {
			t.Errorf("%q became %v", code, err)
		}
	}
}
