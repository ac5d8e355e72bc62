package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// handshakeLimit bounds what a program may take to say what it wants of the proxy.
	handshakeLimit = 10 * time.Second
	// idleLimit is how long an HTTP connection may stay open between two requests.
	idleLimit = 2 * time.Minute
	// headerLimit is the largest HTTP request head, in bytes.
	headerLimit = 64 << 10
	// closeGrace is what running connections get to finish when a proxy ends.
	closeGrace = time.Second
)

// Traffic counts what went through a proxy.
type Traffic struct {
	// Up and Down are bytes of payload, sent and received, without any protocol's overhead.
	Up, Down int64
	// Open is the number of streams and datagram sockets now open through the dialer.
	Open int64
}

// Proxy is a local proxy that speaks SOCKS5 (RFC 1928: CONNECT and UDP ASSOCIATE, without authentication) and HTTP
// (CONNECT, and requests with an absolute URI) on one listener; the first byte of a connection tells which. Names are
// resolved at the far end. Everything goes through its Dialer; when that fails, so does the request.
//
// It has no authentication, so its listener belongs on a loopback address.
type Proxy struct {
	dialer *meter
	plain  *http.Transport

	mu    sync.Mutex
	conns map[*local]struct{}
	live  sync.WaitGroup // counts conns
}

// NewProxy makes a proxy that leaves through dialer.
func NewProxy(dialer Dialer) *Proxy {
	p := &Proxy{dialer: &meter{Dialer: dialer}, conns: make(map[*local]struct{})}
	p.plain = &http.Transport{
		DialContext:           p.dialer.DialContext,
		DisableCompression:    true, // the program's own Accept-Encoding counts
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second, // RFC 9110, section 10.1.1: until then the body waits for the site's word
	}
	return p
}

// Traffic returns the counts so far.
func (p *Proxy) Traffic() Traffic {
	return Traffic{Up: p.dialer.up.Load(), Down: p.dialer.down.Load(), Open: p.dialer.open.Load()}
}

// Serve accepts connections until ctx ends, gives those that are running a second to finish, cuts the rest, and
// returns nil when nothing of it runs any more. It closes the listener. It runs once.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	queue := &queue{conns: make(chan net.Conn), done: make(chan struct{}), address: listener.Addr()}
	web := &http.Server{
		Handler:           p.handler(work, listener.Addr()),
		ReadHeaderTimeout: handshakeLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    headerLimit,
		BaseContext:       func(net.Listener) context.Context { return work },
		ErrorLog:          silentLog(), // its messages name addresses
	}
	p.live.Go(func() { _ = web.Serve(queue) })
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()

	err := p.accept(listener, func(conn *local) { p.welcome(work, conn, queue) })
	_ = listener.Close()
	p.end(work, cut, web)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("client: proxy on %s: %w", listener.Addr(), err)
}

func (p *Proxy) accept(listener net.Listener, welcome func(*local)) error {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			go welcome(p.keep(conn))
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			time.Sleep(10 * time.Millisecond) // others will end and make room
		default:
			return err
		}
	}
}

// end lets running connections finish within closeGrace, cuts them, and waits until all are closed.
func (p *Proxy) end(work context.Context, cut func(), web *http.Server) {
	grace, done := context.WithTimeout(work, closeGrace)
	defer done()
	ended := make(chan struct{})
	go func() {
		_ = web.Shutdown(grace) // closes idle connections at once
		p.live.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-grace.Done():
	}
	cut()
	p.mu.Lock()
	for conn := range p.conns {
		conn.reset() // its owner sees that, and lets it go
	}
	p.mu.Unlock()
	<-ended
	p.plain.CloseIdleConnections()
}

// welcome reads the first byte of a connection and hands it to the protocol that begins so. Whatever else comes is
// closed without an answer.
func (p *Proxy) welcome(ctx context.Context, conn *local, web *queue) {
	_ = conn.SetReadDeadline(time.Now().Add(handshakeLimit))
	first, err := conn.reader.Peek(1)
	switch {
	case err != nil:
		_ = conn.Close()
	case first[0] == socksVersion:
		p.socks(ctx, conn)
	case 'A' <= first[0] && first[0] <= 'Z': // methods are upper case
		_ = conn.SetReadDeadline(time.Time{})
		web.put(conn)
	default:
		_ = conn.Close()
	}
}

// keep takes a connection of a program into the set that Serve ends.
func (p *Proxy) keep(conn net.Conn) *local {
	l := &local{Conn: conn, reader: bufio.NewReader(conn), proxy: p}
	p.live.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[l] = struct{}{}
	return l
}

// local is a connection of a program to the proxy, with what was read ahead.
type local struct {
	net.Conn
	reader *bufio.Reader
	proxy  *Proxy
	once   sync.Once
}

func (l *local) Read(b []byte) (int, error) { return l.reader.Read(b) }

// CloseWrite ends the sending half.
func (l *local) CloseWrite() error { return closeWrite(l.Conn) }

// Close closes the connection and lets the proxy forget it: the last thing that its owner does.
func (l *local) Close() error {
	err := l.Conn.Close()
	l.once.Do(func() {
		l.proxy.mu.Lock()
		delete(l.proxy.conns, l)
		l.proxy.mu.Unlock()
		l.proxy.live.Done()
	})
	return err
}

// reset ends the connection in a way that the program sees as a failure. Close must still follow.
func (l *local) reset() {
	if tcp, ok := l.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = l.Conn.Close()
}

// queue is the listener from which net/http takes the connections that turned out to speak HTTP.
type queue struct {
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
	address net.Addr
}

func (q *queue) put(conn net.Conn) {
	select {
	case q.conns <- conn:
	case <-q.done:
		_ = conn.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return q.address }
