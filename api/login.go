package api

import (
	"context"
	"strconv"

	"stile/vpn"
	"stile/wire"
)

// loginInput is the input of POST /api/login.
type loginInput struct{ vpn.SignIn }

func (l *loginInput) read(in *input) {
	l.Email = in.email("email")
	l.Password = in.password("password")
	l.ClientID = in.clientID("device_id", true)
	l.DeviceName = in.text("device_name", true)
	l.Code = in.text("otp", false)
	l.ReplaceDeviceID = in.integer("replace_device_id", false)
	l.Origin, l.UserAgent = in.x.r.Header.Get("Origin"), in.x.r.UserAgent()
	l.Address = ClientAddress(in.x.r, in.x.api.config.TrustedProxies)
}

// throttled refuses an address that fails too often before its input is read.
func (a *API) throttled(serve handler) handler {
	return func(x *exchange) error {
		if err := a.service.MaySignIn(ClientAddress(x.r, a.config.TrustedProxies)); err != nil {
			return err
		}
		return serve(x)
	}
}

// login signs a device in.
func (a *API) login(ctx context.Context, _ *vpn.Actor, in loginInput) (wire.LoginResponse, error) {
	signedIn, err := a.service.SignIn(ctx, in.SignIn)
	return wire.LoginResponse{Token: signedIn.Token, DeviceID: strconv.FormatInt(signedIn.DeviceID, 10)}, err
}

// signedOut is the documented message of a sign-out; it is never translated.
const signedOut = "Выход из системы выполнен успешно"

// logout ends the token and the device's session.
func (a *API) logout(ctx context.Context, actor *vpn.Actor, _ nothing) (wire.MessageResponse, error) {
	return wire.MessageResponse{Message: signedOut}, a.service.SignOut(ctx, actor)
}
