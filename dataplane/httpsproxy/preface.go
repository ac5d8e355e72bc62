package httpsproxy

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// speakSecond makes the server send its HTTP/2 settings when the client has sent its preface, which RFC 9113, section 3.4 allows;
// net/http sends them as soon as TLS is up. Firefox connects to a proxy before it knows for what, and looks whether the idle
// connection still lives: in doing so it loses a record that has arrived by then. Without the settings it then gives the
// connection up, and the page with it: one in ten sites failed so.
func (p *Plane) speakSecond() error {
	h2 := new(http2.Server)                                     //nolint:staticcheck // deprecated for net/http, which takes no connection of ours
	if err := http2.ConfigureServer(p.server, h2); err != nil { //nolint:staticcheck // as above
		return err
	}
	p.server.TLSNextProto[http2.NextProtoTLS] = func(server *http.Server, conn *tls.Conn, handler http.Handler) {
		var preface [len(http2.ClientPreface)]byte
		_ = conn.SetReadDeadline(time.Now().Add(headerTimeout))
		if _, err := io.ReadFull(conn, preface[:]); err != nil || string(preface[:]) != http2.ClientPreface {
			return // net/http closes the connection
		}
		_ = conn.SetReadDeadline(time.Time{})
		w := wireOf(conn)
		h2.ServeConn(&framed{Conn: conn, wire: w, buffers: p.buffers}, &http2.ServeConnOpts{ //nolint:staticcheck // as above
			Context: context.WithValue(server.BaseContext(nil), wireKey{}, w), BaseConfig: server, Handler: handler, SawClientPreface: true,
		})
	}
	return nil
}
