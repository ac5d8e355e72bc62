package courier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"stile/vpn"
	"stile/wire"
)

const (
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 16 << 10
	// maxName bounds a name within an event, in characters.
	maxName = 255
	// maxError bounds what is kept of an error, in bytes.
	maxError = 300
)

// newClient returns a client for addresses of others: it follows no redirect and asks no proxy.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout:    timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    atOnce,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHead,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post sends an event to a webhook.
func (c *Courier) post(ctx context.Context, address string, secret []byte, d *vpn.Delivery) vpn.Attempt {
	e, err := c.cfg.Event(ctx, *d)
	if err != nil {
		c.cfg.Log.Error("an event cannot be read", "delivery", d.ID, "error", err)
		return c.failed(d, 0, "the event could not be read")
	}
	body, err := json.Marshal(bodyOf(e))
	if err != nil {
		return c.failed(d, 0, err.Error())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return c.failed(d, 0, reason(err))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", c.cfg.Agent)
	r.Header.Set(wire.EventHeader, d.Event)
	r.Header.Set(wire.DeliveryHeader, strconv.FormatInt(d.ID, 10))
	r.Header.Set(wire.SignatureHeader, wire.Sign(secret, body, c.cfg.Now()))
	answer, err := c.client.Do(r)
	if err != nil {
		return c.failed(d, 0, reason(err))
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, wire.MaxEvent)) // so that the connection can be used again
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return vpn.Attempt{Status: code, IsDelivered: true}
	case code >= 300 && code < 400:
		return c.failed(d, code, fmt.Sprintf("status %d: redirects are not followed", code))
	default:
		return c.failed(d, code, fmt.Sprintf("status %d", code))
	}
}

// reason is an error without the address, which may hold a secret.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + timeout.String()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return err.Error()
}

// printable is a text of others as it can be kept and shown.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxError)], ""))
}

// bodyOf is what a webhook is sent of an event. It holds no secret and no network address, and fits wire.MaxEvent.
func bodyOf(e *vpn.Event) wire.Event {
	d := &e.Delivery
	body := wire.Event{ID: d.ID, Event: d.Event, At: wire.Seconds(d.At), SubjectID: d.SubjectID}
	if d.UserID != 0 {
		body.UserID = &d.UserID
	}
	if u := e.User; u != nil {
		body.User = &wire.EventUser{ID: u.ID, Email: u.Email, Name: clip(u.Name), Status: string(u.Status), Locale: u.Locale}
		body.Subscription = &wire.EventSubscription{
			Status: string(e.Status), Plan: e.Entitlement.Plan.Code, ExpiresAt: wire.SecondsOrNull(e.Entitlement.Subscription.ExpiresAt),
			UsedBytes: e.Traffic.Used, ResetsAt: wire.SecondsOrNull(e.Traffic.ResetsAt),
		}
		if e.Traffic.Limit > 0 {
			body.Subscription.LimitBytes = &e.Traffic.Limit
		}
	}
	if v := e.Device; v != nil {
		body.Device = &wire.EventDevice{ID: v.ID, Name: clip(v.Name), Platform: string(v.Platform)}
	}
	if v := e.Server; v != nil {
		body.Server = &wire.EventServer{ID: v.ID, Name: clip(v.Name)}
	}
	return body
}

// clip is a name that is not too long.
func clip(name string) string {
	n := 0
	for i := range name {
		if n++; n > maxName {
			return name[:i]
		}
	}
	return name
}
