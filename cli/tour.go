package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stile/client"
	"stile/wire"
)

// stepTimeout bounds one step of the tour.
const stepTimeout = 10 * time.Second

// tour is the demo's round: the seven documented calls, traffic through the key they give, and the key's end.
type tour struct {
	out    *Terminal
	api    string
	target *demoTarget

	token    string
	deviceID string
	serverID int64
	key      wire.IssuedKey
}

// run makes the round. It stops at the first step that fails.
func (t *tour) run(ctx context.Context) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	steps := []struct {
		title string
		do    func(context.Context) error
	}{
		{"Sign in on a device", t.login},
		{"Who am I", func(ctx context.Context) error { return t.get(ctx, "/api/user", nil) }},
		{"My subscription, for the extension", func(ctx context.Context) error { return t.get(ctx, "/api/subscription", nil) }},
		{"My subscription, for the app", func(ctx context.Context) error { return t.get(ctx, "/api/userApp", nil) }},
		{"Which servers are there", t.servers},
		{"My access key for this server", t.accessKey},
		{"A page through the key, and how the service saw it", t.page},
		{"Sign out: the key dies at once", t.signOut},
	}
	for i, step := range steps {
		t.out.printf("\n%d. %s\n", i+1, step.title)
		ctx, cancel := context.WithTimeout(ctx, stepTimeout)
		err := step.do(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.title, err)
		}
	}
	t.out.printf("\nAll %d steps worked.\n", len(steps))
	return nil
}

// ready waits until the service can do its work.
func (t *tour) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return t.poll(ctx, "the service is not ready", func() (bool, error) {
		status, _, err := t.roundTrip(ctx, http.MethodGet, "/readyz", nil)
		return status == http.StatusOK, err
	})
}

func (t *tour) login(ctx context.Context) error {
	var answer wire.LoginResponse
	err := t.post(ctx, "/api/login", wire.LoginRequest{
		Email: demoEmail, Password: demoPassword, DeviceID: "uuid-1-1-1", DeviceName: "iPhone 12",
	}, &answer)
	t.token, t.deviceID = answer.Token, answer.DeviceID
	return err
}

func (t *tour) servers(ctx context.Context) error {
	var list wire.ServersResponse
	if err := t.post(ctx, "/api/servers", json.RawMessage(`{"device_id":0}`), &list); err != nil {
		return err
	}
	if len(list.Data) == 0 {
		return errors.New("no server is in the list")
	}
	t.serverID = list.Data[0].ID
	return nil
}

func (t *tour) accessKey(ctx context.Context) error {
	body := fmt.Sprintf(`{"server_id":%d,"device_id":%s}`, t.serverID, t.deviceID)
	err := t.post(ctx, "/api/key", json.RawMessage(body), &t.key)
	if err == nil && !t.key.Ready {
		err = errors.New("the node did not confirm the key in time")
	}
	return err
}

// page loads the target's page through a local proxy and the key, and waits until the service has counted it.
func (t *tour) page(ctx context.Context) error {
	fetch, stop, err := t.proxy(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := fetch(ctx, "/page"); err != nil {
		return err
	}
	return t.poll(ctx, "the service did not count the page in time", func() (bool, error) {
		var me wire.SubscriptionResponse
		var list wire.ServersResponse
		if err := errors.Join(t.quiet(ctx, http.MethodGet, "/api/subscription", &me), t.quiet(ctx, http.MethodPost, "/api/servers", &list)); err != nil {
			return false, err
		}
		if len(list.Data) == 0 || list.Data[0].ActiveConnections == 0 || me.Traffic.UsedBytes < targetPageBytes {
			return false, nil
		}
		t.out.printf("   the node carried %d bytes for this account; active_connections of server %d rose to %d\n",
			me.Traffic.UsedBytes, list.Data[0].ID, list.Data[0].ActiveConnections)
		return true, nil
	})
}

// proxy opens a local proxy through the key. fetch loads a path of the target through it and returns its body's size.
func (t *tour) proxy(ctx context.Context) (fetch func(context.Context, string) (int64, error), stop func(), err error) {
	tunnel, err := client.NewTunnel(t.key.Key)
	if err != nil {
		return nil, nil, err
	}
	listener, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	proxy := client.NewProxy(tunnel)
	go func() {
		defer close(ended)
		_ = proxy.Serve(serving, listener) // if it fails, so does the page
	}()
	via := &url.URL{Scheme: "socks5", Host: listener.Addr().String()}
	transport := &http.Transport{Proxy: http.ProxyURL(via)}
	stop = func() { transport.CloseIdleConnections(); end(); <-ended }
	fetch = func(ctx context.Context, path string) (int64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.target.url+path, nil)
		if err != nil {
			return 0, err
		}
		t.out.printf("   $ curl --proxy socks5h://%s %s%s\n", via.Host, t.target.url, path)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		hash := sha256.New()
		n, err := io.Copy(hash, resp.Body)
		if err != nil {
			return n, err
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != t.target.sum {
			return n, fmt.Errorf("the page arrived damaged: SHA-256 %s, want %s", got, t.target.sum)
		}
		t.out.printf("   %d bytes, SHA-256 %s…: as the target sent it\n", n, t.target.sum[:12])
		return n, nil
	}
	return fetch, stop, nil
}

// signOut starts an endless download through the key, signs out, and waits for the download's end.
func (t *tour) signOut(ctx context.Context) error {
	tunnel, err := client.NewTunnel(t.key.Key)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: tunnel.DialContext}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.target.url+"/endless", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.CopyN(io.Discard, resp.Body, targetPageBytes); err != nil {
		return err
	}
	t.out.printf("   a download runs through the key\n")
	ended := make(chan time.Time, 1)
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body) // its end is what we wait for
		ended <- time.Now()
	}()
	if err := t.post(ctx, "/api/logout", nil, nil); err != nil {
		return err
	}
	answered := time.Now()
	select {
	case at := <-ended:
		t.out.printf("   the download ended %.1f ms after the answer\n", float64(max(0, at.Sub(answered)).Microseconds())/1000)
	case <-ctx.Done():
		return errors.New("the download goes on although the device signed out")
	}
	if err := t.quiet(ctx, http.MethodGet, "/api/user", nil); err == nil {
		return errors.New("the token still works")
	}
	probing, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if again, err := transport.RoundTrip(req.Clone(probing)); err == nil {
		_ = again.Body.Close()
		return errors.New("a new connection with the key was let through")
	}
	t.out.printf("   a new connection with the key gets nothing\n")
	return nil
}

// poll repeats a check until it holds.
func (t *tour) poll(ctx context.Context, otherwise string, check func() (bool, error)) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if done, err := check(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New(otherwise)
		case <-ticker.C:
		}
	}
}

// get makes a documented GET call and prints it as its curl line.
func (t *tour) get(ctx context.Context, path string, answer any) error {
	return t.call(ctx, http.MethodGet, path, nil, answer)
}

// post makes a documented POST call and prints it as its curl line.
func (t *tour) post(ctx context.Context, path string, body, answer any) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return t.call(ctx, http.MethodPost, path, raw, answer)
}

func (t *tour) call(ctx context.Context, method, path string, body []byte, answer any) error {
	line := "   $ curl --request " + method + " \"" + t.api + path + "\""
	if t.token != "" {
		line += " --header \"Authorization: Bearer " + t.token + "\""
	}
	line += ` --header "Content-Type: application/json" --header "Accept: application/json"`
	if body != nil {
		line += " --data '" + string(body) + "'"
	}
	t.out.printf("%s\n", line)
	status, raw, err := t.roundTrip(ctx, method, path, body)
	if err != nil {
		return err
	}
	t.out.printf("   %d %s\n", status, strings.TrimSpace(string(raw)))
	return decode(status, raw, answer)
}

// quiet makes a call without printing it.
func (t *tour) quiet(ctx context.Context, method, path string, answer any) error {
	status, raw, err := t.roundTrip(ctx, method, path, nil)
	if err != nil {
		return err
	}
	return decode(status, raw, answer)
}

func decode(status int, raw []byte, answer any) error {
	if status != http.StatusOK {
		return fmt.Errorf("the API answered %d", status)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(raw, answer)
}

func (t *tour) roundTrip(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.api+path, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp.StatusCode, raw, err
}
