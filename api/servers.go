package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stile/internal/locale"
	"stile/vpn"
)

// serversInput is the input of POST and GET /api/servers.
type serversInput struct {
	device vpn.DeviceRef
	lang   locale.Lang
}

func (s *serversInput) read(in *input) { s.device, s.lang = in.device(), in.x.language() }

// serversAnswer is the list of servers for one device.
type serversAnswer struct {
	listing *listing
	keyIDs  []int64 // the servers on which the device has a key
}

// servers returns the available servers, the best first.
func (a *API) servers(ctx context.Context, actor *vpn.Actor, in serversInput) (serversAnswer, error) {
	list, err := a.service.Servers(ctx, actor, in.device)
	if err != nil {
		return serversAnswer{}, err
	}
	return serversAnswer{listing: a.listings.of(list.View, in.lang, a.texts), keyIDs: list.KeyServerIDs}, nil
}

// send writes the kept bytes of the list. GET has an ETag, and is not answered again to who has that.
func (s serversAnswer) send(x *exchange) {
	h := x.w.Header()
	h["Vary"] = []string{"Accept-Language, Accept-Encoding"}
	if x.r.Method != http.MethodPost {
		tag := `W/"` + s.listing.view.Revision + `"`
		h["Etag"] = []string{tag}
		if matchesTag(x.r.Header["If-None-Match"], tag) {
			x.send(http.StatusNotModified, nil)
			return
		}
	}
	marks := s.listing.marks(s.keyIDs)
	if acceptsGzip(x.r.Header["Accept-Encoding"]) {
		packed := s.listing.gzip(marks)
		h["Content-Encoding"] = []string{"gzip"}
		x.sendPieces(packed)
		return
	}
	x.sendPieces(s.listing.pieces(marks))
}

// sendPieces writes an answer that lies in pieces, without joining them.
func (x *exchange) sendPieces(pieces [][]byte) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	x.status = http.StatusOK
	x.w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
	for _, p := range pieces {
		_, _ = x.w.Write(p) // whoever asked may be gone
	}
}

// serverStatus returns the loads alone.
func (a *API) serverStatus(ctx context.Context, actor *vpn.Actor, _ nothing) (statusAnswer, error) {
	list, err := a.service.Servers(ctx, actor, "")
	return statusAnswer{list.View}, err
}

// statusAnswer is the loads of a list.
type statusAnswer struct{ view *vpn.View }

func (s statusAnswer) send(x *exchange) {
	x.body = appendStatuses(x.body[:0], s.view)
	x.send(http.StatusOK, x.body)
}

// matchesTag reports whether If-None-Match names a tag, compared weakly.
func matchesTag(values []string, tag string) bool {
	for _, v := range values {
		for candidate := range strings.SplitSeq(v, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reports whether the client takes gzip.
func acceptsGzip(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		for coding := range strings.SplitSeq(v, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q, isWeight := strings.CutPrefix(strings.TrimSpace(weight), "q=")
				f, err := strconv.ParseFloat(q, 64)
				return !isWeight || (err == nil && f > 0)
			}
		}
		return false
	})
}
