package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"

	"stile/vpn"
)

// idempotencyHeader names a request that may be sent again (draft-ietf-httpapi-idempotency-key-header).
const idempotencyHeader = "Idempotency-Key"

// maxIdempotencyKey bounds the header, in characters.
const maxIdempotencyKey = 255

// once serves a request that has an Idempotency-Key only the first time it comes, and answers it again later. Refusals are not
// kept: they changed nothing.
func once(serve handler) handler {
	return func(x *exchange) error {
		values := x.r.Header[idempotencyHeader]
		if len(values) == 0 {
			return serve(x)
		}
		key := values[0]
		if len(values) > 1 || !isIdempotencyKey(key) {
			return vpn.Refusal(codeBadIdempotencyKey)
		}
		body, err := x.readBody()
		if err != nil {
			return err
		}
		x.r.Body = io.NopCloser(bytes.NewReader(body))
		digest := requestDigest(x.r, x.actor, body)
		service, ctx := x.api.service, x.r.Context()
		answer, err := service.FirstAnswer(ctx, x.actor, key, digest)
		if err != nil {
			return err
		}
		if answer != nil {
			x.w.Header()["Idempotent-Replayed"] = []string{"true"}
			x.send(splitAnswer(answer))
			return nil
		}
		x.isHeld = true
		err = serve(x)
		x.isHeld = false
		if vpn.CodeOf(err) != "" || isFaults(err) {
			if dropErr := service.DropAnswer(ctx, x.actor, key); dropErr != nil {
				return dropErr
			}
		}
		if err != nil {
			return err // not a refusal: nobody knows what was done, and the key stays in use
		}
		status, held := x.status, x.held
		x.status, x.held = 0, nil
		if err := service.KeepAnswer(ctx, x.actor, key, digest, joinAnswer(status, held)); err != nil {
			return err
		}
		x.send(status, held)
		return nil
	}
}

// isIdempotencyKey reports whether a header's value may name a request: printable ASCII.
func isIdempotencyKey(key string) bool {
	if key == "" || len(key) > maxIdempotencyKey {
		return false
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return false
		}
	}
	return true
}

// requestDigest is of all that makes a request what it is: who may ask, the method, the path, the type of the body, and the body.
// An answer may hold a secret, which another token, or the same one after its user's role was changed, need not get.
func requestDigest(r *http.Request, actor *vpn.Actor, body []byte) (digest [32]byte) {
	h := sha256.New()
	u := &actor.User
	for _, part := range []string{
		strconv.FormatInt(actor.Token.ID, 10), string(u.Role), string(u.Status), r.Method, r.URL.Path, r.Header.Get("Content-Type"), string(body),
	} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = h.Write(size[:]) // never fails
		_, _ = io.WriteString(h, part)
	}
	h.Sum(digest[:0])
	return digest
}

// joinAnswer is the kept form of an answer: its status as two bytes, and the body.
func joinAnswer(status int, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(body)), uint16(status)), body...)
}

// splitAnswer is the inverse of joinAnswer.
func splitAnswer(kept []byte) (status int, body []byte) {
	if len(kept) < 2 {
		return http.StatusOK, nil
	}
	return int(binary.BigEndian.Uint16(kept)), kept[2:]
}
