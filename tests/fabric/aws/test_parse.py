"""Requests as they come: what is read, what is refused and in which words, and that nothing else ever comes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.form import MAX_BYTES, decode, grow
from tieline.fabric.aws.protocol.model import ServiceName, services
from tieline.fabric.aws.protocol.parse import compile_input


def read(service: ServiceName, operation: str, form: bytes | str) -> dict[str, Any]:
    raw = form if isinstance(form, bytes) else form.encode()
    return services()[service].operation(operation).parse(grow(decode(raw)))


def refused(service: ServiceName, operation: str, form: bytes | str) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        read(service, operation, form)
    assert caught.value.fault == "Sender"
    return caught.value.code, caught.value.message


def test_reads_the_names_that_ec2_sends() -> None:
    form = (
        "VpcEndpointType=Interface&VpcId=vpc-1&ServiceName=s&SubnetId.2=b&SubnetId.1=a&SubnetId.10=c"
        "&PrivateDnsEnabled=false&TagSpecification.1.ResourceType=vpc-endpoint"
        "&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=a%20b+c&DnsOptions.DnsRecordIpType=ipv4"
    )
    assert read("ec2", "CreateVpcEndpoint", form) == {
        "VpcEndpointType": "Interface",
        "VpcId": "vpc-1",
        "ServiceName": "s",
        "SubnetIds": ["a", "b", "c"],
        "PrivateDnsEnabled": False,
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": [{"Key": "Name", "Value": "a b c"}]}],
        "DnsOptions": {"DnsRecordIpType": "ipv4"},
    }
    values = read("ec2", "ModifyVpcEndpointServicePermissions", "ServiceId=s&AddAllowedPrincipals.1=*")
    assert values["AddAllowedPrincipals"] == ["*"]
    values = read("ec2", "CreateVpcEndpointServiceConfiguration", "NetworkLoadBalancerArn.1=arn")
    assert values["NetworkLoadBalancerArns"] == ["arn"]
    assert read("ec2", "ModifyVpcAttribute", "VpcId=v&EnableDnsHostnames.Value=true") == {
        "VpcId": "v",
        "EnableDnsHostnames": {"Value": True},
    }


def test_reads_the_names_that_elbv2_sends() -> None:
    form = (
        "LoadBalancerArn=l&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn=t"
        "&DefaultActions.member.1.AuthenticateOidcConfig.Issuer=i"
        "&DefaultActions.member.1.AuthenticateOidcConfig.AuthorizationEndpoint=a"
        "&DefaultActions.member.1.AuthenticateOidcConfig.TokenEndpoint=t"
        "&DefaultActions.member.1.AuthenticateOidcConfig.UserInfoEndpoint=u"
        "&DefaultActions.member.1.AuthenticateOidcConfig.ClientId=c"
        "&DefaultActions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.key=k"
        "&DefaultActions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.value=v"
    )
    action = read("elbv2", "CreateListener", form)["DefaultActions"][0]
    assert action["AuthenticateOidcConfig"]["AuthenticationRequestExtraParams"] == {"k": "v"}
    assert read("elbv2", "DescribeTargetGroups", "Names=") == {"Names": []}
    assert read("elbv2", "CreateTargetGroup", "Name=a&Matcher.HttpCode=200-399")["Matcher"] == {"HttpCode": "200-399"}


def test_gaps_in_a_list_do_not_count() -> None:
    assert read("ec2", "DescribeVpcs", "VpcId.3=b&VpcId.1=a&VpcId.700=c")["VpcIds"] == ["a", "b", "c"]


EC2 = [
    ("CreateVpc", "Colour=red", "UnknownParameter", "The parameter Colour is not recognized"),
    ("DescribeVpcs", "Filter.1.Nam=x", "UnknownParameter", "The parameter Filter.1.Nam is not recognized"),
    ("DescribeVpcs", "VpcId.x=1", "UnknownParameter", "The parameter VpcId.x is not recognized"),
    ("DescribeVpcs", "VpcId.0=1", "UnknownParameter", "The parameter VpcId.0 is not recognized"),
    ("DescribeVpcs", "VpcId.01=1", "UnknownParameter", "The parameter VpcId.01 is not recognized"),
    ("DescribeVpcs", "VpcId.1.x=1", "UnknownParameter", "The parameter VpcId.1.x is not recognized"),
    ("DescribeVpcs", "VpcId.1=1&VpcId.1.x=1", "UnknownParameter", "The parameter VpcId.1.x is not recognized"),
    ("DescribeVpcs", "VpcId=1&VpcId.1=x", "UnknownParameter", "The parameter VpcId.1 is not recognized"),
    ("DescribeVpcs", "VpcId.1=x&VpcId=1", "UnknownParameter", "The parameter VpcId is not recognized"),
    ("DescribeVpcs", "VpcId..1=1", "UnknownParameter", "The parameter VpcId. is not recognized"),
    ("DescribeVpcs", "." * 60 + "=1", "UnknownParameter", "is not recognized"),
    ("DescribeVpcs", "VpcId=vpc-1", "InvalidParameterValue", "Value (vpc-1) for parameter VpcId is invalid"),
    ("DescribeVpcs", "Filter.1=x", "InvalidParameterValue", "Value (x) for parameter Filter.1 is invalid"),
    ("DescribeVpcs", "MaxResults=x", "InvalidParameterValue", "must be a whole number"),
    ("DescribeVpcs", "MaxResults=1_0", "InvalidParameterValue", "must be a whole number"),
    ("DescribeVpcs", "MaxResults=" + "9" * 5000, "InvalidParameterValue", "must be a whole number"),
    ("DescribeVpcs", "MaxResults=1001", "InvalidParameterValue", "less than or equal to 1000"),
    ("DescribeVpcs", "DryRun=yes", "InvalidParameterValue", "must be true or false"),
    ("DeleteVpc", "", "MissingParameter", "The request must contain the parameter VpcId"),
    ("CreateVpcEndpoint", "VpcId=v&VpcEndpointType=interface", "InvalidParameterValue", "Interface"),
    ("RunInstances", "MinCount=1&MaxCount=1&SpotOptions=x", "UnknownParameter", "SpotOptions"),
    (
        "RunInstances",
        "MinCount=1&MaxCount=1&InstanceMarketOptions.SpotOptions.ValidUntil=soon",
        "InvalidParameterValue",
        "must be a time such as",
    ),
]


@pytest.mark.parametrize(("operation", "form", "code", "words"), EC2)
def test_refuses_in_the_words_of_ec2(operation: str, form: str, code: str, words: str) -> None:
    found, message = refused("ec2", operation, form)
    assert found == code
    assert words in message
    assert len(message) < 4000


QUERY = [
    ("CreateTargetGroup", "", "ValidationError", "Value null at 'Name' failed to satisfy constraint"),
    ("CreateTargetGroup", "Name=a&Port=0", "ValidationError", "Value '0' at 'Port' failed to satisfy constraint"),
    ("CreateTargetGroup", "Name=a&Protocol=tcp", "ValidationError", "Member must satisfy enum value set: ["),
    ("CreateTargetGroup", "Name=a&Tags.member.1.Value=x", "ValidationError", "null at 'Tags.member.1.Key'"),
    ("CreateTargetGroup", "Name=a&Tags.member.1.Key=", "ValidationError", "length greater than or equal to 1"),
    ("CreateTargetGroup", "Name=a&Tags.member.1.Key=%21", "ValidationError", "regular expression pattern"),
    ("CreateTargetGroup", "Name=a&Tags=", "ValidationError", "length greater than or equal to 1"),
    ("DescribeTargetGroups", "Names.1=a", "UnknownParameter", "Names.1"),
    ("DescribeTargetGroups", "Names.member=a", "ValidationError", "Names.member"),
    ("DescribeTargetGroups", "Nothing=a", "UnknownParameter", "Nothing"),
]


@pytest.mark.parametrize(("operation", "form", "code", "words"), QUERY)
def test_refuses_in_the_words_of_the_query_protocol(operation: str, form: str, code: str, words: str) -> None:
    found, message = refused("elbv2", operation, form)
    assert found == code
    assert words in message


@pytest.mark.parametrize(
    ("form", "code", "words"),
    [
        (b"a=%ff", "MalformedQueryString", "UTF-8"),
        (b"a=\xff", "MalformedQueryString", "UTF-8"),
        (b"a=1&a=2", "MalformedQueryString", "the parameter a is given more than once"),
        (b"&".join(b"a.%d=1" % number for number in range(10_001)), "MalformedQueryString", "10000"),
        (b"a" * (MAX_BYTES + 1), "RequestEntityTooLarge", str(MAX_BYTES)),
    ],
    ids=["escape", "byte", "twice", "many", "long"],
)
def test_refuses_what_is_no_form(form: bytes, code: str, words: str) -> None:
    found, message = refused("ec2", "DescribeVpcs", form)
    assert found == code
    assert words in message


names = st.sampled_from(
    ["VpcId", "Filter", "1", "2", "Name", "Value", "Tags", "member", "Key", "MaxResults", "", "Tag"]
)
pairs = st.tuples(st.lists(names, min_size=1, max_size=6).map(".".join), st.text("01ax.&=%", max_size=8))


@settings(max_examples=300, deadline=None)
@given(
    operation=st.sampled_from([("ec2", "DescribeVpcs"), ("ec2", "RunInstances"), ("elbv2", "AddTags")]),
    form=st.one_of(
        st.binary(max_size=200),
        st.lists(pairs, max_size=8).map(lambda all: "&".join(f"{k}={v}" for k, v in all).encode()),
    ),
)
def test_nothing_but_an_aws_error_comes_out(operation: tuple[ServiceName, str], form: bytes) -> None:
    try:
        assert isinstance(read(*operation, form), dict)
    except AwsError as error:
        assert error.status < 500


# Shapes that the served services do not have today, from a model of our own.
MODEL = json.loads("""{"metadata": {"protocol": "query", "apiVersion": "1", "endpointPrefix": "x", "xmlNamespace": "x"},
"operations": {"Do": {"name": "Do", "http": {}, "input": {"shape": "In"}}, "Rest": {"name": "Rest", "http": {}}},
"shapes": {"In": {"type": "structure", "members": {
  "When": {"shape": "Time"}, "Raw": {"shape": "Blob"}, "Ratio": {"shape": "Ratio"}, "Pin": {"shape": "Pin"},
  "Few": {"shape": "Few"}, "Flat": {"shape": "Flat"}}},
 "Time": {"type": "timestamp"}, "Blob": {"type": "blob", "max": 4}, "Ratio": {"type": "double", "min": 0, "max": 1},
 "Pin": {"type": "string", "sensitive": true, "max": 4}, "Text": {"type": "string"},
 "Few": {"type": "list", "member": {"shape": "Text"}, "max": 2},
 "Flat": {"type": "list", "flattened": true, "member": {"shape": "Text", "locationName": "Each"}}}}""")


def read_own(form: str, operation: str = "Do") -> dict[str, Any]:
    return compile_input(ServiceModel(MODEL, "own").operation_model(operation), "query")(grow(decode(form.encode())))


def test_reads_every_type() -> None:
    assert read_own("When=2026-01-02T03:04:05.678Z&Raw=AAEC&Ratio=0.5&Each.1=a&Each.2=b") == {
        "When": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
        "Raw": b"\x00\x01\x02",
        "Ratio": 0.5,
        "Flat": ["a", "b"],
    }
    assert read_own("When=2026-01-02T05:04:05%2B02:00")["When"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read_own("", "Rest") == {}


@pytest.mark.parametrize(
    "form",
    [
        "When=0001-01-01T00:00:00%2B10:00",
        "When=x",
        "Raw=A",
        "Raw=%C3%A4",
        "Raw=AAECAwQF",
        "Ratio=2",
        "Ratio=nan",
        "Ratio=1e999",
        "Ratio=x",
        "Pin=98765",
        "Few.member.1=a&Few.member.2=b&Few.member.3=c",
    ],
)
def test_refuses_what_does_not_fit_its_type(form: str) -> None:
    with pytest.raises(AwsError) as caught:
        read_own(form)
    assert caught.value.code == "ValidationError"
    assert "98765" not in caught.value.message


def test_refuses_parameters_where_there_are_none() -> None:
    with pytest.raises(AwsError, match="The parameter A is not recognized"):
        read_own("A=1", "Rest")
