package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"stile/accesskey"
	"stile/internal/testport"
)

// shadowsocksServer runs Debian's ss-server, which is not ours, and returns the key to it.
func shadowsocksServer(t *testing.T, method, prefix string) string {
	t.Helper()
	binary, err := exec.LookPath("ss-server")
	if err != nil {
		t.Fatal("these tests need ss-server: apt-get install shadowsocks-libev")
	}
	port := testport.Free(t, 1)
	credential := accesskey.Shadowsocks{Method: method, Password: "correct horse", Prefix: prefix}
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary, "-s", "127.0.0.1", "-p", strconv.Itoa(port), "-k", credential.Password, "-m", method, "-u", "-t", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait()
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	eventually(t, "ss-server listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	key := credential.URI("127.0.0.1", port, "")
	conn, err := tunnelTo(t, key).DialContext(timeout(t), "tcp", echoStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	echo(t, conn, 1, false) // it opens its socket for datagrams later than the one for streams, but before it serves either
	return key
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// echoStreams answers every stream with what it says, and ends when it ends.
func echoStreams(t *testing.T) string {
	t.Helper()
	return serveStreams(t, func(conn net.Conn) {
		_, _ = io.Copy(conn, conn)
	})
}

// serveStreams runs serve for each connection and closes it afterwards.
func serveStreams(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// echoDatagrams answers every datagram with itself.
func echoDatagrams(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return conn.LocalAddr().String()
}

// eventually waits for something that another process or goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("in a minute it did not come to pass that %s", what)
}

// echo says something through conn and fails unless exactly that comes back. With halfClose it ends its half first, as
// ss-server does not allow.
func echo(t *testing.T, conn net.Conn, size int, halfClose bool) {
	t.Helper()
	said := make([]byte, size)
	for i := range said {
		said[i] = byte(i * 7)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(said)
		if err == nil && halfClose {
			err = closeWrite(conn)
		}
		sent <- err
	}()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	heard := make([]byte, size)
	_, err := io.ReadFull(conn, heard)
	if err == nil && halfClose {
		_, err = conn.Read(make([]byte, 1))
		if err == io.EOF {
			err = nil
		}
	}
	if sendErr := <-sent; err != nil || sendErr != nil {
		t.Fatalf("echo: sending %v, reading %v", sendErr, err)
	}
	if string(heard) != string(said) {
		t.Fatalf("echo: %d bytes came back changed", size)
	}
}

// timeout is a context for one step of a test.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func hostPort(address string) (string, int) {
	host, port, _ := net.SplitHostPort(address)
	number, err := strconv.Atoi(port)
	if err != nil {
		panic(fmt.Sprintf("%q is not host:port", address))
	}
	return host, number
}
