#!/usr/bin/env python3
"""Writes what others sign, for tests/sign to compare with: aws.json by botocore, google.json by cryptography.

usage: make.py FOLDER     (botocore 1.44.8, cryptography 50.0.2; the key in google.json is made here and good for nothing)
"""
import base64
import datetime
import json
import os
import random
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

MODELS = ["anthropic.claude-3-5-sonnet-20241022-v2%3A0", "us.anthropic.claude-opus-4-7", "amazon.nova-lite-v1%3A0",
          "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123"]


def aws_case(dice, number):
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    now += datetime.timedelta(seconds=dice.randrange(400 * 86_400))
    region = dice.choice(["us-east-1", "eu-west-3", "ap-northeast-1", "us-gov-west-1"])
    host = dice.choice([f"bedrock-runtime.{region}.amazonaws.com", "127.0.0.1:8443", "vpce-1.example.com"])
    path = f"/model/{dice.choice(MODELS)}/{dice.choice(['converse', 'converse-stream', 'invoke'])}"
    query = dice.choice(["", "", "b=2&a=1", "x=%2F%20y&x=1"])
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "h\u00e9llo " * dice.randrange(40)}]}]})
    session = dice.choice([None, "AQoDYXdzEPT//////////wEXAMPLE" + "x" * dice.randrange(300) + "=="])
    headers = dice.choice([{}, {"content-type": "application/json"},
                           {"content-type": "application/json", "x-amzn-bedrock-trace": "  ENABLED   full "}])
    access, secret = f"AKIA{number:016}", "".join(dice.choice("abcXYZ019+/") for _ in range(40))
    botocore.auth.get_current_datetime = lambda: now
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method="POST", url=url, data=body.encode(), headers=dict(headers))
    request.headers["host"] = host
    botocore.auth.SigV4Auth(Credentials(access, secret, session), "bedrock", region).add_auth(request)
    return {"now_unix_s": int(now.timestamp()), "region": region, "host": host, "path": path, "query": query,
            "body": body, "access": access, "secret": secret, "session": session, "headers": headers,
            "authorization": request.headers["Authorization"]}


def google_case():
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    def pem(form):
        return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    account = {"type": "service_account", "project_id": "acme", "private_key_id": "0123abcd",
               "private_key": pem(serialization.PrivateFormat.PKCS8), "client_email": "gateway@acme.iam.gserviceaccount.com",
               "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth",
               "token_uri": "https://oauth2.googleapis.com/token"}
    now, scope = 1_800_000_000, "https://www.googleapis.com/auth/cloud-platform"
    def part(members):
        return base64.urlsafe_b64encode(json.dumps(members, separators=(",", ":")).encode()).rstrip(b"=")
    text = part({"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"]}) + b"." + part(
        {"iss": account["client_email"], "scope": scope, "aud": account["token_uri"], "iat": now, "exp": now + 3_600})
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    assertion = text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
    return {"account": account, "pkcs1": pem(serialization.PrivateFormat.TraditionalOpenSSL), "now_unix_s": now,
            "scope": scope, "assertion": assertion.decode()}


def main():
    folder, dice = sys.argv[1], random.Random(20260101)
    with open(os.path.join(folder, "aws.json"), "w") as out:
        cases = [aws_case(dice, number) for number in range(40)]
        out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    with open(os.path.join(folder, "google.json"), "w") as out:
        json.dump(google_case(), out, indent=1)
        out.write("\n")


main()
