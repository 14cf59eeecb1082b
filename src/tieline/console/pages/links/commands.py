"""What the provider of a service types, as text: the AWS CLI, Terraform and `tieline expose`, values filled in."""

from __future__ import annotations

import shlex

from tieline.cloud.schemas.answers import Offer

PORT, HEALTH_PORT = 5432, 8008

AWS = """\
aws{endpoint} ec2 describe-subnets --filters Name=availability-zone-id,Values={zones}
aws{endpoint} elbv2 create-target-group --name db --protocol TCP --port {port} --target-type instance \\
  --health-check-port {health} --vpc-id <your VPC>
aws{endpoint} elbv2 register-targets --target-group-arn <target group> --targets Id=<your instance>
aws{endpoint} elbv2 create-load-balancer --name db --type network --scheme internal --subnets <your subnets>
aws{endpoint} elbv2 create-listener --load-balancer-arn <load balancer> --protocol TCP --port {port} \\
  --default-actions Type=forward,TargetGroupArn=<target group>
aws{endpoint} ec2 create-vpc-endpoint-service-configuration --acceptance-required \\
  --network-load-balancer-arns <load balancer>
aws{endpoint} ec2 modify-vpc-endpoint-service-permissions --service-id <service> \\
  --add-allowed-principals {principal}"""

TERRAFORM = """\
# {zones}
resource "aws_vpc_endpoint_service" "db" {{
  acceptance_required        = true
  network_load_balancer_arns = [aws_lb.db.arn]
  allowed_principals         = ["{principal}"]
}}"""


def aws_cli(offer: Offer, wire: str) -> str:
    """From nothing to an endpoint service that allows the deployment."""
    endpoint = f" --endpoint-url {wire}" if wire else ""
    zones, principal = ",".join(offer.zones), shlex.quote(offer.principal)
    return AWS.format(endpoint=endpoint, zones=zones, principal=principal, port=PORT, health=HEALTH_PORT)


def terraform(offer: Offer) -> str:
    """The service; its load balancer lies in the zones of the comment."""
    return TERRAFORM.format(zones=", ".join(offer.zones), principal=offer.principal)


def expose(offer: Offer) -> str:
    """The same in one command, which may be repeated."""
    zones, principal = ",".join(offer.zones), shlex.quote(offer.principal)
    return (
        f"tieline expose --vpc <your VPC> --to <your instance>:{PORT} --zones {zones} \\\n"
        f"  --allow {principal} --health-port {HEALTH_PORT} --profile customer"
    )
