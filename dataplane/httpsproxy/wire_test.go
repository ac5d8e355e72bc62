package httpsproxy

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"stile/dataplane"
)

// crypto/tls answers a client's key update while a stream writes: what it sends arrives whole, and is not put into a
// buffer that was given back.
func TestWritesBesideACork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	w := newWire(near.(*net.TCPConn))
	const rounds, records = 300, 10
	record, answer := bytes.Repeat([]byte{1}, 16<<10), bytes.Repeat([]byte{2}, 50)
	var writers sync.WaitGroup
	writers.Go(func() {
		buffer := new(dataplane.Buffer)
		for range rounds {
			w.cork(buffer)
			for range records {
				_, _ = w.Write(record)
			}
			if err := w.uncork(); err != nil {
				t.Error(err)
			}
			clear(buffer[:100]) // it is somebody else's now
		}
	})
	writers.Go(func() {
		for range rounds {
			_, _ = w.Write(answer)
		}
	})
	go func() {
		writers.Wait()
		_ = w.Close()
	}()
	all, err := io.ReadAll(far)
	if err != nil || len(all) != rounds*(records*len(record)+len(answer)) {
		t.Fatalf("%d bytes arrived, %v", len(all), err)
	}
	for len(all) > 0 {
		want := record
		if all[0] == 2 {
			want = answer
		}
		if !bytes.HasPrefix(all, want) {
			t.Fatalf("a write is torn, %d bytes before the end", len(all))
		}
		all = all[len(want):]
	}
}
