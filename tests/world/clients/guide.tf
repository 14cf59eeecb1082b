# The whole guide: a customer publishes a database, a platform connects to it, the customer accepts.
# Nothing here is tieline's own but the image: AWS_ENDPOINT_URL and AWS_SHARED_CREDENTIALS_FILE lead the way.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}

provider "aws" {
  alias   = "customer"
  profile = "customer"
  region  = "us-east-1"
}

provider "aws" {
  alias   = "platform"
  profile = "platform"
  region  = "us-east-1"
}

locals {
  zones = ["use1-az1", "use1-az2"]
  cidr  = "10.0.0.0/16" # both sides use the same addresses, on purpose
}

data "aws_caller_identity" "platform" {
  provider = aws.platform
}

# The customer's side ------------------------------------------------------------------------------------------------

resource "aws_vpc" "customer" {
  provider   = aws.customer
  cidr_block = local.cidr
  tags       = { Name = "customer" }
}

resource "aws_subnet" "customer" {
  provider             = aws.customer
  count                = length(local.zones)
  vpc_id               = aws_vpc.customer.id
  cidr_block           = cidrsubnet(local.cidr, 8, count.index + 1)
  availability_zone_id = local.zones[count.index]
  tags                 = { Name = "customer-${count.index}" }
}

resource "aws_security_group" "database" {
  provider    = aws.customer
  name        = "database"
  description = "PostgreSQL and its health port"
  vpc_id      = aws_vpc.customer.id

  ingress {
    description = "from the nodes of the balancer"
    from_port   = 5432
    to_port     = 5432
    protocol    = "tcp"
    cidr_blocks = [local.cidr]
  }

  ingress {
    from_port   = 8008
    to_port     = 8008
    protocol    = "tcp"
    cidr_blocks = [local.cidr]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_instance" "database" {
  provider               = aws.customer
  ami                    = "local"
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.customer[0].id
  private_ip             = "10.0.1.10"
  vpc_security_group_ids = [aws_security_group.database.id]
  user_data              = <<-SCRIPT
    #!/bin/sh
    mkdir /srv/files && cd /srv/files && echo hello from behind the link > index.html
    python3 -m http.server 8008 &
    exec python3 -m http.server 5432
  SCRIPT
  tags                   = { Name = "database" }
}

resource "aws_lb_target_group" "database" {
  provider    = aws.customer
  name        = "database"
  port        = 5432
  protocol    = "TCP"
  target_type = "instance"
  vpc_id      = aws_vpc.customer.id

  health_check {
    protocol = "HTTP"
    port     = 8008 # the override port
    path     = "/"
    interval = 5
  }
}

resource "aws_lb_target_group" "address" {
  provider    = aws.customer
  name        = "address"
  port        = 8008
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = aws_vpc.customer.id
}

resource "aws_lb_target_group_attachment" "database" {
  provider         = aws.customer
  target_group_arn = aws_lb_target_group.database.arn
  target_id        = aws_instance.database.id
}

resource "aws_lb_target_group_attachment" "address" {
  provider         = aws.customer
  target_group_arn = aws_lb_target_group.address.arn
  target_id        = aws_instance.database.private_ip
  port             = 8008
}

resource "aws_lb" "database" {
  provider                         = aws.customer
  name                             = "database"
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = aws_subnet.customer[*].id
  enable_cross_zone_load_balancing = true
  tags                             = { Name = "database" }
}

resource "aws_lb_listener" "database" {
  provider          = aws.customer
  load_balancer_arn = aws_lb.database.arn
  port              = 5432
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.database.arn
  }
}

resource "aws_lb_listener" "address" {
  provider          = aws.customer
  load_balancer_arn = aws_lb.database.arn
  port              = 8008
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.address.arn
  }
}

resource "aws_vpc_endpoint_service" "database" {
  provider                   = aws.customer
  acceptance_required        = true
  network_load_balancer_arns = [aws_lb.database.arn]
  tags                       = { Name = "database" }
}

resource "aws_vpc_endpoint_service_allowed_principal" "platform" {
  provider                = aws.customer
  vpc_endpoint_service_id = aws_vpc_endpoint_service.database.id
  principal_arn           = "arn:aws:iam::${data.aws_caller_identity.platform.account_id}:root"
}

# The platform's side ------------------------------------------------------------------------------------------------

resource "aws_vpc" "platform" {
  provider             = aws.platform
  cidr_block           = local.cidr
  enable_dns_hostnames = true
  tags                 = { Name = "platform" }
}

resource "aws_subnet" "platform" {
  provider             = aws.platform
  count                = length(local.zones)
  vpc_id               = aws_vpc.platform.id
  cidr_block           = cidrsubnet(local.cidr, 8, count.index + 1)
  availability_zone_id = local.zones[count.index]
}

resource "aws_security_group" "endpoint" {
  provider = aws.platform
  name     = "endpoint"
  vpc_id   = aws_vpc.platform.id

  ingress {
    from_port   = 0
    to_port     = 65535
    protocol    = "tcp"
    cidr_blocks = [local.cidr]
  }
}

resource "aws_vpc_endpoint" "database" {
  provider           = aws.platform
  service_name       = aws_vpc_endpoint_service.database.service_name
  vpc_endpoint_type  = "Interface"
  vpc_id             = aws_vpc.platform.id
  subnet_ids         = aws_subnet.platform[*].id
  security_group_ids = [aws_security_group.endpoint.id]
  tags               = { Name = "database" }

  depends_on = [aws_vpc_endpoint_service_allowed_principal.platform, aws_lb_listener.database, aws_lb_listener.address]
}

# The consent --------------------------------------------------------------------------------------------------------

resource "aws_vpc_endpoint_connection_accepter" "database" {
  provider                = aws.customer
  vpc_endpoint_service_id = aws_vpc_endpoint_service.database.id
  vpc_endpoint_id         = aws_vpc_endpoint.database.id
}

resource "aws_instance" "client" {
  provider      = aws.platform
  ami           = "local"
  instance_type = "t3.micro"
  subnet_id     = aws_subnet.platform[0].id
  user_data     = "#!/bin/sh\nexec sleep infinity\n"
}

output "client" {
  value = aws_instance.client.id
}

output "name" {
  value = aws_vpc_endpoint.database.dns_entry[0].dns_name
}

output "state" {
  value = aws_vpc_endpoint_connection_accepter.database.vpc_endpoint_state
}

output "group" {
  value = aws_lb_target_group.database.arn
}
