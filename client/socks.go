package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/things-go/go-socks5/statute"
)

const socksVersion = statute.VersionSocks5

// socks serves one SOCKS5 connection (RFC 1928) and closes it.
func (p *Proxy) socks(ctx context.Context, near *local) {
	defer near.Close()
	request, err := greet(near)
	if err != nil {
		return
	}
	_ = near.SetReadDeadline(time.Time{})
	switch request.Command {
	case statute.CommandConnect:
		p.socksConnect(ctx, near, request.DstAddr.String())
	case statute.CommandAssociate:
		p.associate(ctx, near)
	default:
		_ = reply(near, statute.RepCommandNotSupported, nil)
	}
}

func (p *Proxy) socksConnect(ctx context.Context, near *local, destination string) {
	if !isDestination(destination) {
		_ = reply(near, statute.RepAddrTypeNotSupported, nil)
		return
	}
	far, err := p.dialer.DialContext(ctx, "tcp", destination)
	if err != nil {
		_ = reply(near, replyCode(err), nil)
		return
	}
	if err := reply(near, statute.RepSuccess, near.LocalAddr()); err != nil {
		_ = far.Close()
		return
	}
	relay(near, near, far)
}

// greet speaks the opening of SOCKS5: the choice of a method, of which there is one (no authentication), then the
// request. It has answered already when it fails.
func greet(conn io.ReadWriter) (statute.Request, error) {
	methods, err := statute.ParseMethodRequest(conn)
	if err != nil {
		return statute.Request{}, err
	}
	if methods.Ver != socksVersion {
		return statute.Request{}, statute.ErrNotSupportVersion
	}
	if !bytes.Contains(methods.Methods, []byte{statute.MethodNoAuth}) {
		_, _ = conn.Write([]byte{socksVersion, statute.MethodNoAcceptable})
		return statute.Request{}, statute.ErrNoSupportedAuth
	}
	if _, err := conn.Write([]byte{socksVersion, statute.MethodNoAuth}); err != nil {
		return statute.Request{}, err
	}
	request, err := statute.ParseRequest(conn)
	if errors.Is(err, statute.ErrUnrecognizedAddrType) {
		_ = reply(conn, statute.RepAddrTypeNotSupported, nil)
	}
	return request, err
}

// reply answers a SOCKS5 request. bound is the address of the proxy's end, nil for none.
func reply(w io.Writer, code byte, bound net.Addr) error {
	address := statute.AddrSpec{AddrType: statute.ATYPIPv4, IP: net.IPv4zero}
	if bound != nil {
		var err error
		if address, err = statute.ParseAddrSpec(bound.String()); err != nil {
			return err
		}
	}
	_, err := w.Write(statute.Reply{Version: socksVersion, Response: code, BndAddr: address}.Bytes())
	return err
}

// replyCode says in SOCKS5 why there is no way to a destination.
func replyCode(err error) byte {
	if Refused(err) {
		return statute.RepRuleFailure
	}
	return statute.RepServerFailure
}
