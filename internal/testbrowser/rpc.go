package testbrowser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/websocket"
)

// rpc speaks JSON over a websocket with a browser, as both protocols do.
type rpc struct {
	conn *websocket.Conn
	// heard gets events, one after the other. It may send, but wait for no answer.
	heard func(event)

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	failed  error
}

// event is what a browser says unasked. Session is DevTools' alone.
type event struct {
	Method  string          `json:"method"`
	Session string          `json:"sessionId"`
	Params  json.RawMessage `json:"params"`
}

// answer is what a browser says to a call. Both kinds of error end up in Error.
type answer struct {
	ID int `json:"id"`
	event
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"` // BiDi
}

// callTime bounds one call; the machine may be busy.
const callTime = 60 * time.Second

func dialRPC(url string, heard func(event)) (*rpc, error) {
	config, err := websocket.NewConfig(url, "http://127.0.0.1")
	if err != nil {
		return nil, err
	}
	conn, err := websocket.DialConfig(config)
	if err != nil {
		return nil, err
	}
	conn.MaxPayloadBytes = 64 << 20
	r := &rpc{conn: conn, heard: heard, waiting: map[int]chan answer{}}
	go r.read()
	return r, nil
}

func (r *rpc) read() {
	for {
		var text []byte
		err := websocket.Message.Receive(r.conn, &text)
		var a answer
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil {
			r.fail(err)
			return
		}
		if a.Method != "" {
			r.heard(a.event)
			continue
		}
		r.mu.Lock()
		if wait := r.waiting[a.ID]; wait != nil {
			delete(r.waiting, a.ID)
			wait <- a
		}
		r.mu.Unlock()
	}
}

// fail ends all calls.
func (r *rpc) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
	for id, wait := range r.waiting {
		close(wait)
		delete(r.waiting, id)
	}
}

// send sends a command, to a session of DevTools unless that is "". The answer goes to wait unless that is nil.
func (r *rpc) send(session, method string, params any, wait chan answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	r.next++
	command := map[string]any{"id": r.next, "method": method, "params": params}
	if session != "" {
		command["sessionId"] = session
	}
	if wait != nil {
		r.waiting[r.next] = wait
	}
	return websocket.JSON.Send(r.conn, command)
}

// call sends a command as send does, and reads its result.
func (r *rpc) call(ctx context.Context, session, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	wait := make(chan answer, 1)
	if err := r.send(session, method, params, wait); err != nil {
		return err
	}
	select {
	case a, ok := <-wait:
		switch {
		case !ok:
			return errors.New(method + ": the browser is gone")
		case a.Error != nil:
			return fmt.Errorf("%s: %s %s", method, a.Error, a.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
