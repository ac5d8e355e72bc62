package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"stile/wire"
)

// Login signs a device in and returns its token and our id of it; use the token with WithToken. It fails with
// CodeInvalidCredentials, CodeOTPRequired, CodeOTPInvalid, CodeDeviceLimitReached (Details.Devices hold the slots),
// CodeAccountBlocked, CodeTooManyAttempts and CodeValidationFailed.
func (c *Client) Login(ctx context.Context, request wire.LoginRequest) (wire.LoginResponse, error) {
	var answer wire.LoginResponse
	return answer, c.call(ctx, http.MethodPost, "/api/login", request, &answer)
}

// Logout ends the token, frees the device's slot and revokes the device's keys. It returns the server's message.
func (c *Client) Logout(ctx context.Context) (string, error) {
	var answer wire.MessageResponse
	err := c.call(ctx, http.MethodPost, "/api/logout", nil, &answer)
	return answer.Message, err
}

// User returns the signed-in user.
func (c *Client) User(ctx context.Context) (wire.User, error) {
	var answer wire.User
	return answer, c.call(ctx, http.MethodGet, "/api/user", nil, &answer)
}

// Subscription returns what the account may do and has used.
func (c *Client) Subscription(ctx context.Context) (wire.SubscriptionResponse, error) {
	var answer wire.SubscriptionResponse
	return answer, c.call(ctx, http.MethodGet, "/api/subscription", nil, &answer)
}

// Servers returns the available servers, the best first, also those that this account may not use.
func (c *Client) Servers(ctx context.Context) (wire.ServersResponse, error) {
	var answer wire.ServersResponse
	return answer, c.call(ctx, http.MethodPost, "/api/servers", wire.ServersRequest{}, &answer)
}

// Key returns the access key of this device on a server, the same one each time until it is rotated.
func (c *Client) Key(ctx context.Context, request wire.KeyRequest) (wire.IssuedKey, error) {
	var answer wire.IssuedKey
	return answer, c.call(ctx, http.MethodPost, "/api/key", request, &answer)
}

// Devices returns the signed-in devices of the account.
func (c *Client) Devices(ctx context.Context) (wire.DevicesResponse, error) {
	var answer wire.DevicesResponse
	return answer, c.call(ctx, http.MethodGet, "/api/devices", nil, &answer)
}

// RemoveDevice signs another device of the account out and revokes its keys. It fails with CodeDeviceNotFound.
func (c *Client) RemoveDevice(ctx context.Context, id int64) error {
	return c.call(ctx, http.MethodDelete, "/api/devices/"+strconv.FormatInt(id, 10), nil, nil)
}

// Probe asks the API without a token, which it refuses politely, and returns the server's clock as of its answer. An
// error says that there is no such API at the address, or no way to it.
func (c *Client) Probe(ctx context.Context) (time.Time, error) {
	request, err := c.request(ctx, http.MethodGet, "/api/user", nil)
	if err != nil {
		return time.Time{}, err
	}
	request.Header.Del("Authorization")
	response, err := c.http.Do(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("client: %w", err)
	}
	defer response.Body.Close()
	if err := read(response, nil); CodeOf(err) != CodeUnauthenticated {
		if err == nil {
			err = fmt.Errorf("the address answers %s to a call without a token", response.Status)
		}
		return time.Time{}, fmt.Errorf("client: probe: %w", err)
	}
	return http.ParseTime(response.Header.Get("Date"))
}
