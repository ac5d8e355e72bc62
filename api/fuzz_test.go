package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"stile/internal/locale"
	"stile/vpn"
)

// FuzzInput reads a body of any type as every route does: a refusal is a 4xx, what is taken is clean and within limits.
func FuzzInput(f *testing.F) {
	for _, seed := range []struct{ contentType, body string }{
		{"application/json", `{"email":"a@b.c","password":"p","device_id":"d","device_name":"n","replace_device_id":"5"}`},
		{"application/json; charset=UTF-8", `{"device_id":1e2,"server_id":"7","rotate":true}`},
		{"application/vnd.x+json", `{"device_id":{"a":[[[[]]]]},"server_id":1e400,"server_id":-0}`},
		{"application/json", "[]"},
		{"application/json", `"\ud800"`},
		{"", `{"name":"\u0000"}`},
		{"application/x-www-form-urlencoded", "email=a%40b.c&password=+p+&device_id[]=1&device_name=%ff&name=x"},
		{"application/x-www-form-urlencoded", "&&==;%zz"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@b.c\r\n--b\r\nContent-Disposition: form-data; name=\"name\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n"},
		{"multipart/form-data; boundary=\"", "--"},
	} {
		f.Add(seed.contentType, []byte(seed.body))
	}
	a := must(New(nil, Config{Log: slog.New(slog.DiscardHandler)}))(f)
	isText := func(t *testing.T, s string, limit int) {
		if utf8.RuneCountInString(s) > limit || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Errorf("took %q", s)
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		x := &exchange{api: a, w: httptest.NewRecorder(), r: httptest.NewRequest("POST", "/api/login", strings.NewReader(string(body))), lang: locale.English}
		x.r.Header.Set("Content-Type", contentType)
		x.resource = a.router.find("/api/devices/1")
		for _, read := range []func() error{
			func() error {
				var l loginInput
				err := x.read(&l)
				isText(t, l.Email+l.DeviceName+l.ClientID, 3*maxText)
				isText(t, l.Password, maxPassword)
				if err == nil && (l.Email == "" || l.Password == "" || l.ClientID == "" || l.DeviceName == "") {
					t.Errorf("took %+v", l)
				}
				return err
			},
			func() error {
				var s serversInput
				err := x.read(&s)
				isText(t, string(s.device), maxText)
				return err
			},
			func() error {
				var k keyInput
				err := x.read(&k)
				isText(t, string(k.Protocol), maxText)
				return err
			},
			func() error {
				var r renameInput
				err := x.read(&r)
				isText(t, r.name, maxText)
				return err
			},
		} {
			x.r.Body = http.NoBody
			x.r.Body = httptest.NewRequest("POST", "/", strings.NewReader(string(body))).Body
			x.w = httptest.NewRecorder()
			err := read()
			if err == nil {
				continue
			}
			x.refuse(err)
			if w, _ := x.w.(*httptest.ResponseRecorder); w.Code < 400 || w.Code >= 500 || !json.Valid(w.Body.Bytes()) || w.Header().Get("X-Error-Code") == "" {
				t.Errorf("%v: %d %s", err, w.Code, w.Body)
			}
		}
	})
}

// FuzzBearer sends any Authorization header: no actor comes of it, and no fault.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer 1|x", "bearer 99999999999999999999|x", "Basic eA==", "Bearer |", "Bearer 1|2|3", "BEARER  x "} {
		f.Add(seed)
	}
	w := setup(f, engines[0].dsn(f))
	a := must(New(w.service, *w.config))(f)
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/api/user", nil)
		r.Header["Authorization"] = []string{header}
		answer := httptest.NewRecorder()
		a.ServeHTTP(answer, r)
		if answer.Code != http.StatusUnauthorized || answer.Body.String() != unauthenticatedBody || answer.Header().Get("X-Error-Code") != string(vpn.CodeUnauthenticated) {
			t.Errorf("%q: %d %s", header, answer.Code, answer.Body)
		}
	})
}

// FuzzForwardedFor reads any X-Forwarded-For: the address is the peer's, or one that is in the header.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "a, b", "10.0.0.1,10.0.0.1", "[::1]:80", ",,,", "::ffff:10.0.0.1", "fe80::1%eth0", "192.0.2.1:99999"} {
		f.Add(seed)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		got := ClientAddress(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {header}}}, trusted)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q: %v", header, got)
		}
		untrusted := ClientAddress(&http.Request{RemoteAddr: "192.0.2.9:1", Header: http.Header{"X-Forwarded-For": {header}}}, trusted)
		if untrusted != netip.MustParseAddr("192.0.2.9") {
			t.Errorf("%q: an untrusted peer became %v", header, untrusted)
		}
	})
}

// FuzzPath asks for any path: it is a route's or a 404, and no redirect.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "//api/user", "/api/user/", "/api/devices/", "/api/devices//", "/api/ssconf/1/2/3", "/api/ssconf//x", "/api/\xff", "/api/%2f"} {
		f.Add(seed)
	}
	a := must(New(nil, Config{Log: slog.New(slog.DiscardHandler)}))(f)
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("TRACE", "/", nil) // no route has this method, so that nothing is called
		r.URL.Path = path
		answer := httptest.NewRecorder()
		a.ServeHTTP(answer, r)
		if answer.Code != http.StatusNotFound && answer.Code != http.StatusMethodNotAllowed || !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%q: %d %s", path, answer.Code, answer.Body)
		}
	})
}
