package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestOnePastEveryLimit goes one past every limit on every route: a clear 4xx, never a 5xx, and the service goes on.
func TestOnePastEveryLimit(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	server := id(w.servers[0].ID)
	object := func(fields string) string {
		return `{"email":"user@example.com","password":"password123","device_id":"d","device_name":"n","server_id":` + server + `,"name":"n"` + fields + `}`
	}
	long := strings.Repeat("я", maxText+1)
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	const jsonType, formType = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
	parts := func(n int) string {
		return strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n", n) + "--b--\r\n"
	}
	bodies := []struct {
		name, contentType, body string
		route                   string // "" = all with a body
		want                    int
	}{
		{"body", jsonType, object(`,"pad":"` + strings.Repeat("x", maxBodyBytes) + `"`), "", 413},
		{"depth", jsonType, object(`,"pad":` + deep), "", 400},
		{"form fields", formType, strings.Repeat("a=1&", maxParts) + "b=2", "", 400},
		{"parts", "Content-Type: multipart/form-data; boundary=b", parts(maxParts + 1), "", 400},
		{"invalid UTF-8", jsonType, object(",\"pad\":\"\xff\""), "", 400},
		{"e-mail", jsonType, object(`,"email":"` + strings.Repeat("a", maxText-len("@example.com")+1) + `@example.com"`), "POST /api/login", 422},
		{"password", jsonType, object(`,"password":"` + strings.Repeat("я", maxPassword+1) + `"`), "POST /api/login", 422},
		{"device id", jsonType, object(`,"device_id":"` + long + `"`), "POST /api/login", 422},
		{"device name", jsonType, object(`,"device_name":"` + long + `"`), "POST /api/login", 422},
		{"code", jsonType, object(`,"otp":"` + long + `"`), "POST /api/login", 422},
		{"replaced device", jsonType, object(`,"replace_device_id":9223372036854775808`), "POST /api/login", 422},
		{"device", jsonType, object(`,"device_id":"` + long + `"`), "POST /api/servers", 422},
		{"device number", jsonType, object(`,"device_id":9223372036854775808`), "POST /api/servers", 422},
		{"server", jsonType, object(`,"server_id":9223372036854775808`), "POST /api/key", 422},
		{"server below", jsonType, object(`,"server_id":"-9223372036854775809"`), "POST /api/key", 422},
		{"key's device", jsonType, object(`,"device_id":"` + long + `"`), "POST /api/key", 422},
		{"protocol", jsonType, object(`,"protocol":"` + long + `"`), "POST /api/key", 422},
		{"public key", jsonType, object(`,"public_key":"` + long + `"`), "POST /api/key", 422},
		{"voucher", jsonType, object(`,"code":"` + long + `"`), "POST /api/vouchers/redeem", 422},
		{"name", jsonType, object(`,"name":"` + long + `"`), "PATCH /api/devices/{id}", 422},
	}
	withBody := map[string]bool{"POST /api/login": true, "POST /api/servers": true, "POST /api/key": true, "PATCH /api/devices/{id}": true, "POST /api/vouchers/redeem": true}
	used := map[string]bool{}
	for _, r := range Routes() {
		route := r.Method + " " + r.Path
		t.Run(route, func(t *testing.T) {
			token, device := w.signIn("user@example.com", "limits")
			path := strings.NewReplacer("{id}", id(device), "{token}", strings.Repeat("t", 22)).Replace(r.Path)
			call := func(path, body string, headers ...string) int {
				return w.call(r.Method, path, body, append(headers, "Authorization: Bearer "+token)...).StatusCode
			}
			for _, b := range bodies {
				if b.route == route || b.route == "" && withBody[route] {
					used[b.name] = true
					if got := call(path, b.body, b.contentType); got != b.want {
						t.Errorf("%s: %d, want %d", b.name, got, b.want)
					}
				}
			}
			if got := call(path, strings.Repeat("x", maxBodyBytes+1)); got != http.StatusRequestEntityTooLarge {
				t.Errorf("body that nothing reads: %d", got)
			}
			for name, got := range map[string]int{
				"id":            call(strings.Replace(r.Path, "{id}", "9223372036854775808", 1), "{}"),
				"query fields":  call(path+"?"+strings.Repeat("a=1&", maxParts)+"b=2", "{}"),
				"broken query":  call(path+"?device_id=%zz", "{}"),
				"address":       call(path+strings.Repeat("/x", 2000), "{}"),
				"language":      call(path, "{}", "Accept-Language: "+strings.Repeat("en-US,", 256/6)+"ru"),
				"bearer":        w.call(r.Method, path, "{}", "Authorization: Bearer "+strings.Repeat("x", 513)).StatusCode,
				"forwarded for": call(path, "{}", "X-Forwarded-For: "+strings.Repeat("192.0.2.1, ", maxForwarded)+"192.0.2.1"),
				"if none match": call(path, "{}", "If-None-Match: "+strings.Repeat(`"x",`, 1000)),
				"header":        call(path, "{}", "X-Pad: "+strings.Repeat("x", maxHeaderBytes+4096)),
			} {
				if got >= 500 {
					t.Errorf("%s: %d", name, got)
				}
				if name == "header" && got != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("header: %d, want 431", got)
				}
			}
		})
	}
	for _, b := range bodies {
		if !used[b.name] {
			t.Errorf("%s was tried on no route", b.name)
		}
	}
	for _, line := range strings.Split(w.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Error(line)
		}
	}
}

// What is not HTTP, or only half of it, ends with a 4xx too.
func TestBrokenRequests(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	for name, c := range map[string]struct {
		raw  string
		want int
	}{
		"no HTTP":           {"hello\r\n\r\n", 400},
		"no host":           {"GET /api/user HTTP/1.1\r\n\r\n", 400},
		"bad length":        {"POST /api/login HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400},
		"bad chunk":         {"POST /api/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"chunks, too large": {"POST /api/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", maxBodyBytes+1) + strings.Repeat("x", maxBodyBytes+1) + "\r\n0\r\n\r\n", 413},
		"bad escape":        {"GET /api/%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"own method":        {"B\x21REW /api/user HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		"NUL in a header":   {"GET /api/user HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \x00\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			conn := must(net.Dial("tcp", w.server.Listener.Addr().String()))(t)
			defer conn.Close()
			go func() { _, _ = conn.Write([]byte(c.raw)) }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
}
