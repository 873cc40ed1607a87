# Create a single lead
curl -X POST "https://your-domain.com/api/external/leads" \
  -H "X-API-Key: your_api_key_here" \
  -H "Content-Type: application/json" \
  -d '{
    "email": "prospect@company.com",
    "first_name": "John",
    "last_name": "Doe",
    "company": "Prospect Corp",
    "campaign_id": 1
  }'

# Create a new campaign
curl -X POST "https://your-domain.com/api/external/campaigns" \
  -H "X-API-Key: your_api_key_here" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Product Demo Sequence",
    "description": "2-step follow-up sequence",
    "steps": [
      {
        "step_number": 1,
        "name": "Initial Follow-up",
        "subject": "Thanks for your demo request",
        "ai_prompt": "Write a friendly follow-up email thanking them for their interest in our demo. Mention that you'll be reaching out to schedule a time that works for them. Keep it warm and professional.",
        "delay_days": 0,
        "delay_hours": 0
      },
      {
        "step_number": 2,
        "name": "Second Touch",
        "subject": "Quick question about {{company_name}}",
        "ai_prompt": "Write a helpful second touch email. Ask a specific question about their current challenges or goals related to our solution. Offer to share a relevant case study or resource.",
        "delay_days": 3,
        "delay_hours": 0
      }
    ]
  }'

# Get all campaigns with full details
curl -X GET "https://your-domain.com/api/external/campaigns" \
  -H "X-API-Key: your_api_key_here"

# Get single campaign
curl -X GET "https://your-domain.com/api/external/campaigns/1" \
  -H "X-API-Key: your_api_key_here"

# Update campaign
curl -X PUT "https://your-domain.com/api/external/campaigns/1" \
  -H "X-API-Key: your_api_key_here" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Updated Demo Sequence",
    "description": "Updated 2-step follow-up sequence",
    "steps": [
      {
        "step_number": 1,
        "name": "Updated Initial Follow-up",
        "subject": "Updated: Thanks for your demo request",
        "template": "Hi {{first_name}}, updated message...",
        "ai_prompt": "Write an updated friendly follow-up email",
        "delay_days": 0,
        "delay_hours": 0
      }
    ]
  }'

# Pause campaign
curl -X POST "https://your-domain.com/api/external/campaigns/1/pause" \
  -H "X-API-Key: your_api_key_here"

# Resume campaign
curl -X POST "https://your-domain.com/api/external/campaigns/1/unpause" \
  -H "X-API-Key: your_api_key_here"

# Delete campaign (soft delete)
curl -X DELETE "https://your-domain.com/api/external/campaigns/1" \
  -H "X-API-Key: your_api_key_here"

# Check API status
curl -X GET "https://your-domain.com/api/external/status" \
  -H "X-API-Key: your_api_key_here"
