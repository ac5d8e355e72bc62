package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func token() JoinToken {
	return JoinToken{NodeID: 10, Secret: [32]byte{1, 31: 2}, Authority: [32]byte{3, 31: 4}, URL: "https://control.example.net:8443"}
}

func TestJoinTokenComesBack(t *testing.T) {
	want := token()
	got, err := ParseJoinToken(want.String())
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	want.URL = "https://" + strings.Repeat("a", maxJoinURL-len("https://"))
	if got, err := ParseJoinToken(want.String()); err != nil || got != want {
		t.Errorf("the longest: %+v, %v", got, err)
	}
}

func TestJoinTokenRefusesOthers(t *testing.T) {
	whole := token().String()
	for i := range len(whole) {
		if _, err := ParseJoinToken(whole[:i]); !errors.Is(err, ErrJoinToken) {
			t.Errorf("cut after %d: %v", i, err)
		}
	}
	for _, change := range []func(*JoinToken){
		func(j *JoinToken) { j.NodeID = 0 },
		func(j *JoinToken) { j.NodeID = -1 },
		func(j *JoinToken) { j.URL = "" },
		func(j *JoinToken) { j.URL = "http://control.example.net" },
		func(j *JoinToken) { j.URL = "https://a@control.example.net" },
		func(j *JoinToken) { j.URL = "https://control.example.net/" },
		func(j *JoinToken) { j.URL = "https://" + strings.Repeat("a", maxJoinURL) },
	} {
		bad := token()
		change(&bad)
		if _, err := ParseJoinToken(bad.String()); !errors.Is(err, ErrJoinToken) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := ParseJoinToken(" " + whole); err == nil {
		t.Error("with a space in front")
	}
}

func TestReadAllTakesWholeFramesOnly(t *testing.T) {
	body := Append(Append(nil, &Ack{Rev: 1}), &NodeBeat{Rev: 2})
	frames, err := ReadAll(body)
	if err != nil || len(frames) != 2 {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	most := bytes.Repeat(body, MaxNodeFrames/2)
	if frames, err := ReadAll(most); err != nil || len(frames) != MaxNodeFrames {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	for _, bad := range [][]byte{nil, append(most, Append(nil, &Ack{})...), body[:len(body)-1], make([]byte, MaxNodeBody+1)} {
		if _, err := ReadAll(bad); err == nil {
			t.Errorf("%d bytes are taken", len(bad))
		}
	}
}

func FuzzParseJoinToken(f *testing.F) {
	f.Add(token().String())
	f.Add(joinPrefix)
	f.Add(strings.Replace(token().String(), "A", "\rA", 1))
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := ParseJoinToken(s); err == nil && got.String() != s {
			t.Errorf("%q reads as %q", s, got)
		}
	})
}

func FuzzReadAll(f *testing.F) {
	f.Add(Append(Append(nil, &Ack{Rev: 1}), &NodeBeat{Rev: 2}))
	f.Fuzz(func(t *testing.T, body []byte) {
		frames, err := ReadAll(body)
		if (err == nil) != (len(frames) > 0) {
			t.Errorf("%d frames, %v", len(frames), err)
		}
	})
}
