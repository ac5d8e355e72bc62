package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"stile/vpn"
	"stile/wire"
)

// Bounds of what a node may do to the listener.
const (
	// nodeRequests is how many requests a node may have under way: its stream, a poll, its frames, a renewal.
	nodeRequests = 8
	// nodeHeaderBytes and nodeBuffer bound what a connection holds of what came in.
	nodeHeaderBytes = 4 << 10
	nodeBuffer      = 64 << 10
	headTimeout     = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	// A connection that says nothing for longer than two beats is asked whether it lives: a node has but so many.
	pingAfter   = 40 * time.Second
	pingTimeout = 10 * time.Second
	// memberInterval bounds how long a node that another process revoked keeps its running link.
	memberInterval = time.Second
)

// Memberships decides who is a node: *vpn.Service.
type Memberships interface {
	// JoinNode redeems a token: vpn.ErrTokenUsed, vpn.ErrTokenExpired, vpn.ErrNotFound.
	JoinNode(ctx context.Context, j vpn.Joining) (vpn.Server, error)
	// NodeServer returns the server of a node, or vpn.ErrNotMember.
	NodeServer(ctx context.Context, nodeID int64) (vpn.Server, error)
	// AdmitNode returns vpn.ErrNotMember unless the key's holder is the node now.
	AdmitNode(ctx context.Context, nodeID int64, key vpn.NodeKeyHash) error
	// RenewNode notes until when a member is certified, or returns vpn.ErrNotMember.
	RenewNode(ctx context.Context, nodeID int64, key vpn.NodeKeyHash, until time.Time) (vpn.Server, error)
	// Memberships returns what is known of every node.
	Memberships(ctx context.Context) ([]vpn.NodeIdentity, error)
}

// ListenerConfig is what a listener is made of.
type ListenerConfig struct {
	Hub       *Hub
	Authority *Authority
	Members   Memberships
	// Version is what nodes are told of this build.
	Version string
	// PollWait is how long a poll waits for a frame; wire.PollSeconds by default.
	PollWait time.Duration
	// Log defaults to slog's default.
	Log *slog.Logger
}

// Listener is where nodes on other machines dial in: one HTTP/2 connection each, TLS 1.3 both ways.
type Listener struct {
	cfg    ListenerConfig
	server *http.Server
	hellos *admission
	joins  *admission
	visits visits
	// each counts the links of each node.
	each *tally

	mu    sync.Mutex
	links map[string]*memberLink // by their names
	polls map[string]*pollLink
	// live are the links, isStopping that there will be no more.
	live       sync.WaitGroup
	isStopping bool
}

// NewListener returns a listener that Run starts.
func NewListener(cfg ListenerConfig) (*Listener, error) {
	if cfg.Hub == nil || cfg.Authority == nil || cfg.Members == nil {
		return nil, errors.New("hub: Hub, Authority or Members is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.PollWait == 0 {
		cfg.PollWait = wire.PollSeconds * time.Second
	}
	l := &Listener{cfg: cfg, hellos: newAdmission(hellosAtOnce, helloPatience), joins: newAdmission(joinsAtOnce, 0), each: newTally(math.MaxInt, linksEach),
		links: make(map[string]*memberLink), polls: make(map[string]*pollLink)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathControl, l.control)
	mux.HandleFunc("POST "+wire.PathJoin, l.join)
	mux.HandleFunc("GET "+wire.PathSelf, l.member(l.self))
	mux.HandleFunc("POST "+wire.PathRenew, l.member(l.renew))
	mux.HandleFunc("POST "+wire.PathStream, l.certified(l.stream))
	mux.HandleFunc("POST "+wire.PathPoll, l.certified(l.poll))
	mux.HandleFunc("POST "+wire.PathFrames, l.certified(l.frames))
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	l.server = &http.Server{
		Handler: mux, TLSConfig: cfg.Authority.tlsConfig(), Protocols: &protocols,
		ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: nodeHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: nodeRequests, MaxReceiveBufferPerStream: nodeBuffer, MaxReceiveBufferPerConnection: nodeBuffer,
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
		},
		ErrorLog: log.New(io.Discard, "", 0), // net/http's own complaints name addresses
	}
	return l, nil
}

// Run serves nodes until ctx ends, then ends their links.
func (l *Listener) Run(ctx context.Context, listener net.Listener) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	l.server.BaseContext = func(net.Listener) context.Context { return inner }
	var watching sync.WaitGroup
	watching.Go(func() { l.watchMembers(inner) })
	context.AfterFunc(inner, func() { _ = l.server.Close() })
	gate := newGate(inner, listener, l.server.TLSConfig.Clone(), l.cfg.Log) // net/http goes on writing into its own
	err := l.server.Serve(gate)
	stop()
	gate.wait()
	watching.Wait()
	l.mu.Lock()
	l.isStopping = true
	l.mu.Unlock()
	for _, link := range l.running() {
		_ = link.Close()
	}
	l.live.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// caller is a node whose certificate was verified.
type caller struct {
	id  int64
	key vpn.NodeKeyHash
}

// certified lets in who has a certificate of ours. Whether it is a member is not known yet.
func (l *Listener) certified(h func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			l.refuse(w, http.StatusUnauthorized, wire.NodeRefused)
			return
		}
		id, key, err := nodeOf(r.TLS.VerifiedChains[0][0])
		if err != nil {
			l.refuse(w, http.StatusUnauthorized, wire.NodeRefused)
			return
		}
		w.Header()["Date"] = nil // which no node reads, and which the tables of the header compression would keep
		h(w, r, caller{id: id, key: key})
	}
}

// member lets members in, and nobody else.
func (l *Listener) member(h func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return l.certified(func(w http.ResponseWriter, r *http.Request, by caller) {
		if l.mayVisit(w, by) && l.isMember(w, r, by) {
			h(w, r, by)
		}
	})
}

// isMember reports whether a caller is the node that it says, by its id and its key, or has refused it.
func (l *Listener) isMember(w http.ResponseWriter, r *http.Request, by caller) bool {
	switch err := l.cfg.Members.AdmitNode(r.Context(), by.id, by.key); {
	case errors.Is(err, vpn.ErrNotMember):
		l.refuse(w, http.StatusForbidden, wire.NodeRefused)
	case err != nil:
		l.fail(w, r, "admit", by.id, err)
	default:
		return true
	}
	return false
}

// watchMembers ends the running links of nodes that are members no more.
func (l *Listener) watchMembers(ctx context.Context) {
	ticker := time.NewTicker(memberInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.endStrangers(ctx)
		}
	}
}

func (l *Listener) endStrangers(ctx context.Context) {
	links := l.running()
	if len(links) == 0 {
		return
	}
	all, err := l.cfg.Members.Memberships(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.cfg.Log.Error("the nodes' memberships cannot be read", "error", err)
		}
		return
	}
	members := make(map[int64]*vpn.NodeIdentity, len(all))
	for i := range all {
		members[all[i].NodeID] = &all[i]
	}
	for _, link := range links {
		if n := members[link.by.id]; n == nil || !n.IsMember(link.by.key) {
			l.cfg.Log.Warn("a node is shut out", "node", link.by.id)
			_ = link.Close()
		}
	}
}

func (l *Listener) running() []*memberLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.links))
}

// control says who listens, and what time it is.
func (l *Listener) control(w http.ResponseWriter, _ *http.Request) {
	l.answer(w, http.StatusOK, wire.ControlPlane{
		Authority: l.cfg.Authority.Certificate(), Time: l.cfg.Hub.cfg.Now().UnixMilli(), Version: l.cfg.Version,
	})
}

func (l *Listener) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the node went away
}

func (l *Listener) refuse(w http.ResponseWriter, status int, code string) {
	l.answer(w, status, wire.NodeProblem{Code: code, Time: l.cfg.Hub.cfg.Now().UnixMilli()})
}

// fail answers for a fault of ours.
func (l *Listener) fail(w http.ResponseWriter, r *http.Request, what string, nodeID int64, err error) {
	if r.Context().Err() == nil {
		l.cfg.Log.Error("a node's request failed", "node", nodeID, "request", what, "error", err)
	}
	l.refuse(w, http.StatusServiceUnavailable, wire.NodeServerError)
}

// body reads a body of at most so many bytes; nil after it refused one.
func (l *Listener) body(w http.ResponseWriter, r *http.Request, most int64) []byte {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		l.refuse(w, status, wire.NodeBadRequest)
		return nil
	}
	if body == nil {
		body = []byte{}
	}
	return body
}
