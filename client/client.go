package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// answerLimit is the largest answer that a client reads, in bytes: a list of 10,000 servers has about 5 MB.
	answerLimit = 16 << 20
	// callLimit bounds a call whose context does not; the server itself waits at most 2 s for a node.
	callLimit = 20 * time.Second
)

// Options tune a Client; the zero value is good.
type Options struct {
	// Language is sent as Accept-Language, for example "ru" or "en-GB, ru;q=0.5"; "" leaves it to the server.
	Language string
	// UserAgent names the program; "" is "stile-client".
	UserAgent string
	// Transport carries the calls. nil is a transport of the client's own that ignores the proxy settings of the
	// environment: they may well name a proxy of ours, whose key the client is about to renew.
	Transport http.RoundTripper
}

// Client calls the public API. It is safe for concurrent use and immutable.
type Client struct {
	base      *url.URL
	token     string
	language  string
	userAgent string
	http      *http.Client
}

// New makes a client of the API at baseURL, for example "https://vpn.example.net" or "http://127.0.0.1:8000", without
// "/api". token may be "" until a sign-in.
func New(baseURL, token string, options Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("client: %q is not an address like https://vpn.example.net", baseURL)
	}
	transport := options.Transport
	if transport == nil {
		transport = directTransport()
	}
	userAgent := options.UserAgent
	if userAgent == "" {
		userAgent = "stile-client"
	}
	return &Client{
		base:      base,
		token:     token,
		language:  options.Language,
		userAgent: userAgent,
		http: &http.Client{
			Transport: transport,
			Timeout:   callLimit,
			// A redirect would carry a password or a token to where nobody meant it to go.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// WithToken returns a client that signs its calls with token and is otherwise the same.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = token
	return &other
}

// BaseURL is the address that the client calls, without a slash at the end.
func (c *Client) BaseURL() string { return c.base.String() }

// call sends input (nil: no body) and reads the answer into output (nil: not looked at). Errors are *Error, or say what
// kept the call from being answered.
func (c *Client) call(ctx context.Context, method, path string, input, output any) error {
	if err := c.roundTrip(ctx, method, path, input, output); err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			return fmt.Errorf("client: %w", err) // names method and address itself
		}
		return fmt.Errorf("client: %s %s: %w", method, path, err)
	}
	return nil
}

func (c *Client) roundTrip(ctx context.Context, method, path string, input, output any) error {
	request, err := c.request(ctx, method, path, input)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return read(response, output)
}

func (c *Client) request(ctx context.Context, method, path string, input any) (*http.Request, error) {
	var body io.Reader
	if input != nil {
		raw, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	if input != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.language != "" {
		request.Header.Set("Accept-Language", c.language)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

func read(response *http.Response, output any) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > answerLimit {
		return fmt.Errorf("the answer is larger than %d bytes", answerLimit)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return refusal(response, body)
	}
	if output == nil {
		return nil
	}
	if !isJSON(response.Header) {
		return errors.New("the answer is not JSON: is there an API of Stile at this address?")
	}
	if err := json.Unmarshal(body, output); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// directTransport uses no proxy, whatever the environment says.
func directTransport() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          10,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
	}
}
