package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func testKey(id int64) Key {
	k := Key{ID: id, NotAfter: 1_790_000_000_000, UpBytesPerSecond: 12_500_000, DownBytesPerSecond: 12_500_000, MaxSessions: 64}
	for i := range k.Seed {
		k.Seed[i] = byte(int(id) + i + 1)
	}
	return k
}

func sampleFrames() []Frame {
	digest := Digest{1, 2, 3}
	return []Frame{
		&Hello{Proto: Protocol, NodeID: 7, BootID: 1 << 60, Epoch: 3, Rev: 900, Count: 2, Digest: digest,
			Streams: []StreamSeq{{Stream: 9, Seq: 4}, {Stream: 1 << 63, Seq: 1}}, Caps: 4, Version: "1.2.3", Refused: []int64{6}},
		&Hello{Proto: Protocol, NodeID: 7, Digest: digest, Caps: CapConfig | 4, Version: "1.2.3",
			Serving: Serving{Rev: 5, Ports: Ports{Shadowsocks: 8388, Count: 16, HTTPS: 443, Method: "aes-256-gcm"}}},
		&Welcome{Session: 8, Epoch: 3, Rev: 901, Mode: ModeDelta, ServerTime: 1_790_000_000_000,
			Acked: []StreamSeq{{Stream: 9, Seq: 3}}, HeartbeatSeconds: 15, Floor: 100},
		&Delta{FromRev: 900, ToRev: 901, Dels: []Removal{{KeyID: 5, Reason: ReasonRevoked}}, Puts: []Key{testKey(6)},
			IsComplete: true, Count: 2, Digest: digest},
		&SnapshotBegin{Epoch: 3, Rev: 901, Count: 2, Digest: digest},
		&SnapshotChunk{Dels: []Removal{{KeyID: 5, Reason: ReasonQuarantined}}, Puts: []Key{testKey(6), {ID: -1, NotAfter: -5}}},
		&SnapshotEnd{Rev: 901, Items: 3},
		&Verify{},
		&BucketPrints{Session: 8, Prints: Prints{{1}, {}, {2, 3}}},
		&PatchBegin{Epoch: 3, Rev: 901, Parts: Parts{5, 31: 128}, Count: 2, Digest: digest},
		&RevokedAsk{After: 4},
		&Revoked{Session: 8, After: 4, KeyIDs: []int64{5, 7}, IsLast: true},
		&Ack{Session: 8, Epoch: 3, Rev: 901, Refused: []int64{6}},
		&Nack{Session: 8, Epoch: 3, Rev: 900, RefusedRev: 901, Why: WhyKey, Bad: []BadKey{{KeyID: 6, Sum: testKey(6).Sum()}}},
		&ServerBeat{ServerTime: 1, Epoch: 3, Rev: 901, IsComplete: true, Digest: digest, Floor: 100},
		&NodeBeat{Session: 8, Epoch: 3, Rev: 901, Digest: digest, Load: 40, ActiveKeys: 3, Sessions: 12, Refused: []int64{6}},
		&Usage{Stream: 9, Seq: 4, From: 1, To: 2, Sessions: 3, Entries: []UsageEntry{{KeyID: 6, Up: 10, Down: 1 << 40}}},
		&UsageAck{Stream: 9, Seq: 4},
		&Config{Rev: 6, Ports: Ports{Shadowsocks: 9000, Count: 4}, KeepSeconds: 86_400},
		&ConfigReport{Session: 8, Serving: Serving{Rev: 5, Ports: Ports{Shadowsocks: 8388, Count: 16, HTTPS: 443, Method: "aes-256-gcm"}, RefusedRev: 6,
			Why: ConfigPorts, Detail: "port 9001 is in use"}},
	}
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	var stream []byte
	for _, f := range sampleFrames() {
		stream = Append(stream, f)
	}
	r := bufio.NewReader(bytes.NewReader(stream))
	for _, want := range sampleFrames() {
		got, err := Read(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: got %+v, %v; want %+v", want, got, err, want)
		}
	}
	if _, err := Read(r); err != io.EOF {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

func TestTruncatedFramesAreRefused(t *testing.T) {
	for _, f := range sampleFrames() {
		whole := Append(nil, f)
		for n := 1; n < len(whole); n++ {
			if got, err := Read(bufio.NewReader(bytes.NewReader(whole[:n]))); err == nil || err == io.EOF {
				t.Fatalf("%T cut to %d of %d bytes: %+v, %v", f, n, len(whole), got, err)
			}
		}
	}
}

func TestLaterFieldsAndTypesAreIgnored(t *testing.T) {
	for _, f := range sampleFrames() {
		body := append(Encode(f), 1, 2, 3)
		if got, err := Decode(body); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%T with three bytes more: %+v, %v", f, got, err)
		}
	}
	// One removal whose record has a field of a later protocol, then no puts, not complete, count 0, digest.
	body := append([]byte{byte(TypeDelta), 1, 2, 1, 4, 5, byte(ReasonRevoked), 77, 78, 0, 0, 0}, make([]byte, 32)...)
	got, err := Decode(body)
	want := &Delta{FromRev: 1, ToRev: 2, Dels: []Removal{{KeyID: 5, Reason: ReasonRevoked}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a longer item: %+v, %v", got, err)
	}
	if got, err := Decode([]byte{0x7e, 1, 2}); err != nil || got.Type() != 0x7e {
		t.Errorf("an unknown type: %+v, %v", got, err)
	}
}

func TestLimitsRefuseOnePast(t *testing.T) {
	entries := func(n int) Frame { return &Usage{Entries: make([]UsageEntry, n)} }
	if _, err := Decode(Encode(entries(MaxItems))); err != nil {
		t.Errorf("%d items: %v", MaxItems, err)
	}
	if _, err := Decode(Encode(entries(MaxItems + 1))); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d items: %v", MaxItems+1, err)
	}
	if _, err := Decode(make([]byte, MaxFrame+1)); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("a frame one byte too long: %v", err)
	}
	if _, err := Read(bufio.NewReader(bytes.NewReader([]byte{0x81, 0x80, 0x40}))); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("a length of %d: %v", MaxFrame+1, err)
	}
	long := append([]byte{byte(TypeUsageAck)}, bytes.Repeat([]byte{0xff}, 11)...)
	if _, err := Decode(long); !errors.Is(err, ErrMalformed) {
		t.Errorf("a number beyond 64 bits: %v", err)
	}
	if _, err := Decode([]byte{byte(TypeSnapshotEnd), 0x80, 0x00}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a number in a longer form than it needs: %v", err)
	}
	hello := (&Hello{Version: strings.Repeat("v", MaxText+1)}).appendTo([]byte{byte(TypeHello)})
	got, err := Decode(hello)
	if err != nil || len(got.(*Hello).Version) != MaxText {
		t.Errorf("an own text one byte too long is cut: %v, %v", got, err)
	}
}

func TestThreeHundredKeysFitIntoTwentyKilobytes(t *testing.T) {
	chunk := new(SnapshotChunk)
	for id := range int64(300) {
		chunk.Puts = append(chunk.Puts, testKey(1_000_000+id))
	}
	if n := len(Append(nil, chunk)); n > 20_000 || n/300 > 60 {
		t.Errorf("300 keys take %d bytes, %d each", n, n/300)
	}
}

func TestSeedsAreNeverWritten(t *testing.T) {
	k := testKey(1)
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &Delta{Puts: []Key{k}})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", k, "seed", k.Seed)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", k, "seed", k.Seed)
	for _, secret := range []string{string(k.Seed[:]), fmt.Sprintf("%x", k.Seed[:]), fmt.Sprintf("%v", k.Seed[:8])[1:16], "0x2, 0x3"} {
		if strings.Contains(out.String(), secret) || secret == redactedSeed {
			t.Errorf("the seed got out as %q:\n%s", secret, out.String())
		}
	}
	if _, err := json.Marshal(k); !errors.Is(err, ErrSeedIsSecret) {
		t.Errorf("json.Marshal: %v", err)
	}
}

func TestPipe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a, b := Pipe()
	sent := &Delta{FromRev: 1, ToRev: 2, Puts: []Key{testKey(3)}}
	if err := a.Send(ctx, sent); err != nil {
		t.Fatal(err)
	}
	got, err := b.Receive(ctx)
	if err != nil || !reflect.DeepEqual(got, Frame(sent)) || got == Frame(sent) {
		t.Errorf("received %+v, %v", got, err)
	}
	for range pipeRoom {
		if err := a.Send(ctx, sent); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := a.Send(ctx, sent); !errors.Is(err, context.Canceled) {
		t.Errorf("a full pipe with a cancelled context: %v", err)
	}
	b.Close()
	b.Close()
	if err := b.Send(context.Background(), sent); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("sending on a closed pipe: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range sampleFrames() {
		f.Add(Encode(frame))
	}
	f.Add([]byte{byte(TypeUsage), 0, 0, 0, 0, 0, 0xff, 0x1f})
	f.Fuzz(func(t *testing.T, body []byte) {
		frame, err := Decode(body)
		if err != nil {
			return
		}
		first := Encode(frame)
		if len(first) > len(body) {
			t.Fatalf("%T grew from %d to %d bytes", frame, len(body), len(first))
		}
		if len(first) == len(body) && !bytes.Equal(first, body) {
			t.Fatalf("%T of the same length differs:\n%x\n%x", frame, body, first)
		}
		again, err := Decode(first)
		if err != nil || !reflect.DeepEqual(again, frame) {
			t.Fatalf("%T came back as %+v, %v", frame, again, err)
		}
	})
}
