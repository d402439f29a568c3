// Generated from openapi.json by scripts/answers.mjs; do not edit.
export interface components {
    schemas: {
        readonly TicketObject: {
            /** @description Opaque to clients. */
            readonly ticket: string;
            /** @constant */
            readonly token_type: "AuthTicket";
            /** @description Seconds from now. */
            readonly expires_in: number;
            /**
             * Format: date-time
             * @description The ticket's end.
             */
            readonly expires_at: string;
            /**
             * Format: date-time
             * @description When the user must log in again, even after renewals.
             */
            readonly session_expires_at: string;
        };
        readonly PhoneObject: {
            /** @description With country code; this is what is sealed. */
            readonly phone_number: string;
            /** @description Without country code. */
            readonly pure_phone_number: string;
            readonly country_code: string;
            /** @description Opaque to clients. */
            readonly ticket: string;
            /** @constant */
            readonly token_type: "AuthTicket";
            /** @description Seconds from now. */
            readonly expires_in: number;
            /**
             * Format: date-time
             * @description The ticket's end.
             */
            readonly expires_at: string;
            /**
             * Format: date-time
             * @description When the user must log in again, even after renewals.
             */
            readonly session_expires_at: string;
        };
        readonly Session: {
            /** @constant */
            readonly active: true;
            /** @description The app that the user has logged in to. */
            readonly appid: string;
            /**
             * @description Its platform.
             * @example weapp
             */
            readonly platform: string;
            /** @description The user's id within the app. */
            readonly openid: string;
            /** @description The user's id across the apps of one owner. */
            readonly unionid?: string;
            /** @description A number that the platform has confirmed. */
            readonly phone_number?: string;
            /** @description The claims of your own service. */
            readonly claims?: string;
            /** @description Which login it is; the same after every renewal. */
            readonly login_id: string;
            /** @description When that login was, in Unix seconds. */
            readonly auth_time: number;
            /**
             * Format: date-time
             * @description The ticket's end.
             */
            readonly expires_at: string;
            /**
             * Format: date-time
             * @description The session's end.
             */
            readonly session_expires_at: string;
        };
        readonly SessionKeyState: {
            readonly session_key_valid: boolean;
        };
        readonly UserData: {
            /** @description What was decrypted. Its watermark names the ticket's app and its openId, if there is one, the ticket's user. */
            readonly data?: Record<string, never>;
            /** @constant */
            readonly signature_valid?: true;
        };
        readonly AccessToken: {
            /** @description A JWT (RFC 9068). */
            readonly access_token: string;
            /** @constant */
            readonly issued_token_type: "urn:ietf:params:oauth:token-type:access_token";
            /** @constant */
            readonly token_type: "Bearer";
            /** @description Seconds from now. */
            readonly expires_in: number;
            /** @description What was granted, if something was asked for. */
            readonly scope?: string;
        };
        readonly HandoverObject: {
            readonly handover: string;
            /** @description Seconds from now. */
            readonly expires_in: number;
        };
        readonly Error: {
            /** @enum {string} */
            readonly error: "invalid_request" | "invalid_target" | "invalid_scope" | "unsupported_grant_type" | "not_supported" | "invalid_phone_code" | "bad_user_data" | "session_key_stale" | "invalid_ticket" | "ticket_expired" | "ticket_revoked" | "invalid_code" | "code_used" | "invalid_client" | "unauthorized_client" | "user_blocked" | "wrong_app" | "app_required" | "not_bound" | "not_found" | "method_not_allowed" | "too_large" | "unsupported_media_type" | "headers_too_large" | "rate_limited" | "server_misconfigured" | "upstream_failed" | "upstream_timeout" | "upstream_busy" | "no_sealing_key" | "overloaded";
            /** @description For people. ASCII without quotes and backslashes. */
            readonly error_description: string;
            /** @description Also in the log. A proxy's X-Request-Id, if it sent one. */
            readonly request_id: string;
            /** @description The platform's error code, if it sent one: a number on most platforms, a word on others. */
            readonly errcode?: number | string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type TicketObject = components['schemas']['TicketObject']
export type PhoneObject = components['schemas']['PhoneObject']
export type Session = components['schemas']['Session']
export type SessionKeyState = components['schemas']['SessionKeyState']
export type UserData = components['schemas']['UserData']
export type AccessToken = components['schemas']['AccessToken']
export type HandoverObject = components['schemas']['HandoverObject']
export type Error = components['schemas']['Error']
